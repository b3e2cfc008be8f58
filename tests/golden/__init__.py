"""Every version of every event that was ever shipped, and histories with the states they fold to: never edited.

`python -m tests.golden add` writes the files that are not there yet (a new kind, version or history), and refuses to
touch the others. A test reads them all: a state that drifts is a dossier somebody has printed and that we now deny.
"""
