"""What can happen: the event catalogue, its envelope and codec, the publisher and the importers."""
