"""Where workers run, and what joins each of them with the parent."""
