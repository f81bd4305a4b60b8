"""Pickle, in which our exceptions carry the names that a Celery peer can import.

Unpickling runs whatever the bytes say: it happens only where ``accept_content`` names ``pickle``.
"""

from __future__ import annotations

import io
import os
import pickle
from typing import TYPE_CHECKING, Any, Final

from celeriac import exceptions
from celeriac.exceptions import DecodeError, EncodeError, class_for, wire_name
from celeriac.serialization.serializer import Serializer

if TYPE_CHECKING:

    class _PythonPickler:
        """The standard library's pickler in Python; the one in C does not let anybody rename a class."""

        def __init__(self, file: io.BytesIO, protocol: int) -> None: ...
        def dump(self, obj: Any) -> None: ...
        def save_global(self, obj: Any, name: str | None = None) -> None: ...
        def write(self, data: bytes) -> None: ...
        def memoize(self, obj: Any) -> None: ...
else:
    from pickle import _Pickler as _PythonPickler

#: Celery writes 4 unless the environment variable PICKLE_PROTOCOL says otherwise.
PROTOCOL: Final = int(os.environ.get("PICKLE_PROTOCOL", "4"))

_EXCEPTIONS_MODULE: Final = exceptions.__name__.encode("ascii")


class _RenamingPickler(_PythonPickler):
    """Writes our exceptions under their wire names. Slow: used only where there are any."""

    def save_global(self, obj: Any, name: str | None = None) -> None:
        if isinstance(obj, type) and obj.__module__ == exceptions.__name__:
            module, qualname = wire_name(obj)
            self.write(pickle.GLOBAL + f"{module}\n{qualname}\n".encode("ascii"))
            self.memoize(obj)
        else:
            super().save_global(obj, name)


class _RenamingUnpickler(pickle.Unpickler):
    """Finds our exceptions under their wire names, whether or not Celery is installed beside us."""

    def find_class(self, module: str, name: str) -> Any:
        return class_for(module, name) or super().find_class(module, name)


def encode(value: Any) -> bytes:
    """Return *value* pickled.

    Raises:
        EncodeError: It holds something that cannot be pickled.
    """
    try:
        payload = pickle.dumps(value, PROTOCOL)
        if _EXCEPTIONS_MODULE in payload:
            buffer = io.BytesIO()
            _RenamingPickler(buffer, PROTOCOL).dump(value)
            payload = buffer.getvalue()
    except Exception as error:  # users' __reduce__ and __getstate__ raise what they like
        raise EncodeError(f"The value cannot be pickled: {error}") from error
    return payload


def decode(payload: bytes) -> Any:
    """Return the value that *payload* stands for. Runs whatever the bytes say.

    Raises:
        DecodeError: It is not a pickle, or names what cannot be imported here.
    """
    try:
        return _RenamingUnpickler(io.BytesIO(payload)).load()
    except Exception as error:  # damaged pickles and users' __setstate__ raise anything
        raise DecodeError(f"The payload cannot be unpickled: {type(error).__qualname__}: {error}") from error


SERIALIZER: Final = Serializer("pickle", "application/x-python-serialize", "binary", encode, decode, runs_code=True)
