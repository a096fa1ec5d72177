"""`make soak`: the topic level at a modest rate for long, which must lose nothing, double nothing, and not grow."""
