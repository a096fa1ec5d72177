"""Side-by-side measurements, run by `make bench`; no test collects them, and none of them asserts a time."""
