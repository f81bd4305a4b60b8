"""Where an app's messages and results are, in words, without passwords."""

from __future__ import annotations

from typing import TYPE_CHECKING

from celeriac.app.connections import backend_options, broker_options
from celeriac.stores.urls import masked, same_store

if TYPE_CHECKING:
    from celeriac.app.app import Celeriac
    from celeriac.stores.options import StoreOptions

__all__ = ["results_place", "transport_place"]


def transport_place(app: Celeriac) -> str:
    """The broker's URL; the embedded broker's with its file."""
    return _every_url(broker_options(app))


def results_place(app: Celeriac) -> str:
    """The result backend's URL, and whether a settlement is one step with the broker's."""
    backend = backend_options(app)
    if backend is None:
        return "disabled"
    broker = broker_options(app)
    one = same_store(broker, backend)
    same = "the same store: one atomic step" if one else "another store: written before the acknowledgement"
    return f"{_every_url(backend)} ({same})"


def _every_url(options: StoreOptions) -> str:
    return ";".join(map(masked, (options.url, *options.alternates)))
