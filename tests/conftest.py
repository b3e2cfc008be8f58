"""Hypothesis for shared machines: no deadline for one example, since timing is not what these tests are about."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

settings.register_profile("ledger", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
settings.load_profile("ledger")
