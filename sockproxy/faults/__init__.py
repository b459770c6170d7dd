"""What can go wrong between a page and its server? A proxy that does it on purpose."""

from __future__ import annotations

from sockproxy.faults.plan import Decision, Plan
from sockproxy.faults.proxy import FaultProxy
from sockproxy.faults.rules import BadRule

__all__ = ["BadRule", "Decision", "FaultProxy", "Plan"]
