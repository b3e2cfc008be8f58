"""How it is run: embedded servers, topics, tables."""
