"""Compression of bodies: the header ``compression`` names the content type of the compressed stream.

Names and formats: protocol document, section 18. What Celery calls gzip is a zlib stream (RFC 1950).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

from celeriac.exceptions import DecodeError, UnsupportedOption

GZIP: Final = "application/x-gzip"
BZIP2: Final = "application/x-bz2"
LZMA: Final = "application/x-lzma"

_CONTENT_TYPES: Final = {
    "gzip": GZIP,
    "zlib": GZIP,
    "bzip2": BZIP2,
    "bzip": BZIP2,
    "lzma": LZMA,
    "xz": LZMA,
}
#: Formats that Celery knows and that need a package of their own.
_UNSUPPORTED: Final = frozenset(
    {"brotli", "application/x-brotli", "zstd", "zstandard", "application/zstd"},
)


class _Decompressor(Protocol):
    """The standard library's incremental decompressors."""

    @property
    def eof(self) -> bool: ...

    def decompress(self, data: bytes, /, max_length: int = ...) -> bytes: ...


def _zlib_compress(body: bytes) -> bytes:
    import zlib

    return zlib.compress(body)


def _zlib_decompressor() -> tuple[_Decompressor, type[Exception]]:
    import zlib

    # 32 added to the window size: reads real gzip (RFC 1952) as well.
    return zlib.decompressobj(zlib.MAX_WBITS | 32), zlib.error


def _bz2_compress(body: bytes) -> bytes:
    import bz2

    return bz2.compress(body)


def _bz2_decompressor() -> tuple[_Decompressor, type[Exception]]:
    import bz2

    return bz2.BZ2Decompressor(), OSError


def _lzma_compress(body: bytes) -> bytes:
    import lzma

    return lzma.compress(body)


def _lzma_decompressor() -> tuple[_Decompressor, type[Exception]]:
    import lzma

    return lzma.LZMADecompressor(), lzma.LZMAError


_COMPRESSORS: Final[dict[str, Callable[[bytes], bytes]]] = {
    GZIP: _zlib_compress,
    BZIP2: _bz2_compress,
    LZMA: _lzma_compress,
}
_DECOMPRESSORS: Final[dict[str, Callable[[], tuple[_Decompressor, type[Exception]]]]] = {
    GZIP: _zlib_decompressor,
    BZIP2: _bz2_decompressor,
    LZMA: _lzma_decompressor,
}


def content_type_of(name: str) -> str:
    """Return the content type that a name or an alias stands for; a content type stands for itself.

    Raises:
        UnsupportedOption: Nothing here compresses so.
    """
    content_type = _CONTENT_TYPES.get(name, name)
    if content_type in _COMPRESSORS:
        return content_type
    known = ", ".join(sorted(_CONTENT_TYPES))
    if name in _UNSUPPORTED:
        raise UnsupportedOption(f"Compression {name!r} is not supported yet; use one of: {known}.")
    raise UnsupportedOption(f"There is no compression {name!r}; use one of: {known}.")


def compress(body: bytes, name: str) -> tuple[bytes, str]:
    """Return *body* compressed, and the content type for the message's ``compression`` header.

    Args:
        body: The serialized body.
        name: A name, an alias or a content type (setting ``task_compression`` or ``result_compression``).

    Raises:
        UnsupportedOption: Nothing here compresses so.
    """
    content_type = content_type_of(name)
    return _COMPRESSORS[content_type](body), content_type


def decompress(body: bytes, content_type: str, max_size: int) -> bytes:
    """Return *body* decompressed, which never takes more memory than *max_size* allows.

    Args:
        body: The compressed stream.
        content_type: The message's ``compression`` header; names and aliases are understood.
        max_size: Most bytes to return.

    Raises:
        DecodeError: The stream is damaged, cut off, or larger than *max_size*.
        UnsupportedOption: Nothing here decompresses so.
    """
    decompressor, stream_error = _DECOMPRESSORS[content_type_of(content_type)]()
    try:
        plain = decompressor.decompress(body, max_size + 1)
    except (stream_error, EOFError, ValueError) as error:
        raise DecodeError(f"The body is not a {content_type} stream: {error}") from error
    if len(plain) > max_size:
        raise DecodeError(f"The body decompresses to more than {max_size} bytes (setting `task_max_size`).")
    if not decompressor.eof:
        raise DecodeError(f"The {content_type} stream is cut off.")
    return plain
