"""Room 2: the harness. Reaches room 1 (messaging) only through `drivers/`."""
