"""The second half of `make soak`: short courses of combined faults by seed, after which all promises are checked."""
