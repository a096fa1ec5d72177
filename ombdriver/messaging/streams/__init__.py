"""The stream level: clients for streams and consumer groups, one command each."""
