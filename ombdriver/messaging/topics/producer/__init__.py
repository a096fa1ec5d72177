"""Sends to a topic, in batches."""
