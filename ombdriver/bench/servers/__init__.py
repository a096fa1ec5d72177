"""Servers that are started for a run, in every topology; each server is a `private_server.PrivateServer`."""
