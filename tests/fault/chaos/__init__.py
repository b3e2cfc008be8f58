"""Seeded faults on real processes: broker, ClickHouse, archivers and projectors die, hang and lie, under load."""
