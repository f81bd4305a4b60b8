"""One application module a system: what its users would write, and a `sender()` for the client process.

These modules run in the system's own interpreter and find their surroundings in environment variables:
"""

from __future__ import annotations

import os

BROKER = os.environ.get("BENCHMARK_BROKER", "")
"""URL of the private broker; empty for the embedded one."""
BACKEND = os.environ.get("BENCHMARK_BACKEND", "")
"""URL of the private Redis, or `rpc://`, where results are stored."""
STORE = os.environ.get("BENCHMARK_STORE", "")
"""Path of the embedded broker's file."""
RESULTS = os.environ.get("BENCHMARK_RESULTS", "1") == "1"
"""Whether results are stored."""
VARIANT = os.environ.get("BENCHMARK_VARIANT", "")
"""A word that a driver and its application agree on: a way of using the system that needs other code or settings."""
