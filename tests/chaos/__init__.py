"""`make chaos`: what setups lose when their primary dies, and for how long; the table of docs/faults.md."""
