"""Pure functions from events to what is true: the fold, the clocks, the queues. No I/O, no wall clock."""
