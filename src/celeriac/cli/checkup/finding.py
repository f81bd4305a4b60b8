"""A finding: something that is wrong, or that is worth knowing."""

from __future__ import annotations

from typing import Literal

import msgspec

__all__ = ["Finding", "Severity"]

Severity = Literal["error", "warning", "note"]


class Finding(msgspec.Struct, frozen=True):
    """One finding.

    Attributes:
        severity: an error loses or stops something, a warning may, a note is good to know.
        about: the settings, task or store that it is about.
        text: what is the matter.
        advice: what to do.
    """

    severity: Severity
    about: str
    text: str
    advice: str = ""
