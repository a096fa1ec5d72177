"""Results and progress -> what people read. Nothing here measures, waits or knows a server."""
