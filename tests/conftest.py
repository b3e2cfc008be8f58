"""Hypothesis for shared machines: no deadline for one example, since timing is not what these tests are about.

And Ctrl-C as on a terminal."""

from __future__ import annotations

import signal

from hypothesis import HealthCheck, settings

# A shell that starts the tests in the background has them ignore Ctrl-C, and whatever they start would as well.
signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile("ledger", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
settings.load_profile("ledger")
