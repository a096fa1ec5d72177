"""`make docs-outputs`: the console blocks of README and docs, made by the commands that they name."""
