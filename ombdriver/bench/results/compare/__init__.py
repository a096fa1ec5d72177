"""Is one setup really faster than another? Results of runs -> a comparison with a baseline; see docs/compare.md."""
