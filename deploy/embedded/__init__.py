"""Servers that `dossier up` brings along, for a machine with nothing but Python."""
