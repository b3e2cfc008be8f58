"""Rulebooks that come with the ledger, as people write them."""
