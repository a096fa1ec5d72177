"""Messages that need more than one delivery: reclaimed, delayed, given up."""
