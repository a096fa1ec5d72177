"""Servers that are started for a run, in every topology; each is a `private_server.PrivateServer`."""
