"""Faults as steps of a workload: what is broken, when, on whom, how it is healed, and what came of it."""
