"""Reads a topic as a member of a group, at least once."""
