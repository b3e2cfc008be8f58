"""What runs on the stream: the projector, the archiver, quarantine."""
