"""`make trust`: how often the verdict is right about runs to which something known is done."""
