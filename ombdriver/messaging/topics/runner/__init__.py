"""Handles the messages of a topic with a function of the user."""
