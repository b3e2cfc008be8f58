"""The one console script, `dossier`: each command composes its process and nothing is built at import."""
