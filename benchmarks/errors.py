"""What goes wrong in a benchmark, as one type that the command line can print as a sentence."""

from __future__ import annotations


class BenchmarkError(Exception):
    """A system did not do what the measurement asked of it; the message says which, and what it printed."""
