"""A run decided before anything starts: who sends and reads what, in which process. Pure."""
