"""The drivers that ship: each is reached by its registered name only (`driver.load_driver`)."""
