"""Results as one page for people: verdicts, a table, plots; as HTML that opens offline, or as Markdown."""
