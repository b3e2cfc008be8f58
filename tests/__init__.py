"""The proof: what must stay true, shown on the pure parts, on real servers, and under faults."""
