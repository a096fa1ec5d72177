"""The drivers that ship: each is reached by its registered name only (`api.load_driver`)."""
