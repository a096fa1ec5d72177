"""What may be said of a run: rules, thresholds, trend, caveats. Pure."""
