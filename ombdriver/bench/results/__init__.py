"""The result document: built, stored, read, compared, exported."""
