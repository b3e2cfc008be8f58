"""HTTP in and out: queries, the live stream, the page."""
