"""What looks back: the archive reader, timelines, rebuild, reconcile."""
