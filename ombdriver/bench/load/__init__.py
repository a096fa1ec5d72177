"""The load as arithmetic: when each message is due, what it carries, how long a consumer works on it. Pure."""
