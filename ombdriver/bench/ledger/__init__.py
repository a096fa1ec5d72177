"""The delivery ledger: what became of each message."""
