"""Settings: the table of all of them, the mutable configuration, and the frozen snapshot that everything reads."""

from celeriac.settings.configuration import Configuration
from celeriac.settings.defaults import Flavour
from celeriac.settings.snapshot import Settings

__all__ = ["Configuration", "Flavour", "Settings"]
