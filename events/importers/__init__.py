"""Historic logs as events: a table of rows or an XES log, and a mapping file that says what its columns mean."""
