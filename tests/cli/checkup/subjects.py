"""Apps as the checks see them."""

from __future__ import annotations

from typing import Any

import msgspec

from celeriac import Celeriac
from celeriac.cli.checkup.finding import Finding
from celeriac.cli.checkup.subject import Subject, examine

__all__ = ["findings_about", "subject"]


def subject(app: Celeriac | None = None, superuser: bool = False, **settings: Any) -> Subject:
    """An app with these settings, examined."""
    app = app or Celeriac("shop", set_as_current=False)
    app.conf.update(settings)
    return msgspec.structs.replace(examine(app, dict.fromkeys(settings, "app.conf")), superuser=superuser)


def findings_about(findings: list[Finding], name: str) -> list[tuple[str, str]]:
    """Severity and text of the findings about a setting or task."""
    return [(finding.severity, finding.text) for finding in findings if name in finding.about.split(", ")]
