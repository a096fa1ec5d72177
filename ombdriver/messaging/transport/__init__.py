"""Connections to one server, to a cluster, and behind Sentinels; commands that find their server."""
