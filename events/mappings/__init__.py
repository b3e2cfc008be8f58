"""Mappings that come with the ledger, by name."""
