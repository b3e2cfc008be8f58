"""The contract with the outside: what people write (settings, mappings) and the published schemas."""
