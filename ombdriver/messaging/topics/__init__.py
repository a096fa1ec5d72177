"""The topic level: records, and who sends and processes them at least once. It stands on the stream level around it."""
