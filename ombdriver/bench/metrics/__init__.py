"""Histograms, recording, merging of reports, and views of a phase."""
