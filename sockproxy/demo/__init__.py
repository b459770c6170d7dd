"""What runs with `twistd sockproxy --demo`: backends to talk to, and no file to write."""

from __future__ import annotations

from sockproxy.demo.start import make_demo

__all__ = ["make_demo"]
