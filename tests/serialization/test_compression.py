"""Compression under Celery's names, bounded on the way back."""

from __future__ import annotations

import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from celeriac.exceptions import DecodeError, UnsupportedOption
from celeriac.serialization.compression import BZIP2, GZIP, LZMA, compress, decompress

BODY = b"hello" * 10

#: What kombu 5.7.0 makes of BODY.
WRITTEN_BY_KOMBU = {
    GZIP: b"x\x9c\xcbH\xcd\xc9\xc9\xcf \x85\x00\x00\x11j\x14\xc9",
    BZIP2: b"BZh91AY&SY\xfb\x18\xf3\x1d\x00\x00\t\x81\x00\x02D\xa0\x00 \xa5\x00\xcd4\xc4\xe4\xd4\xe2x\xbb\x92)\xc2\x84"
    b"\x87\xd8\xc7\x98\xe8",
    LZMA: b"\xfd7zXZ\x00\x00\x04\xe6\xd6\xb4F\x02\x00!\x01\x16\x00\x00\x00t/\xe5\xa3\xe0\x001\x00\x0b]\x004\x19I\xee"
    b"\x8e\x9a2p\x80\x00\x00\x00\x00pV\x10\x900\xfaQ\xfe\x00\x01'2\xceV\x942\x1f\xb6\xf3}\x01\x00\x00\x00\x00\x04YZ",
}
NAMES = [("gzip", GZIP), ("zlib", GZIP), ("bzip2", BZIP2), ("bzip", BZIP2), ("lzma", LZMA), ("xz", LZMA)]
ROOM = 1024


@pytest.mark.parametrize(("name", "content_type"), [*NAMES, (GZIP, GZIP), (BZIP2, BZIP2), (LZMA, LZMA)])
def test_every_name_compresses_to_the_content_type_of_kombu(name: str, content_type: str) -> None:
    compressed, header = compress(BODY, name)
    assert header == content_type
    assert decompress(compressed, header, ROOM) == BODY


@pytest.mark.parametrize("content_type", WRITTEN_BY_KOMBU)
def test_what_kombu_compressed_is_read(content_type: str) -> None:
    assert decompress(WRITTEN_BY_KOMBU[content_type], content_type, ROOM) == BODY


def test_gzip_is_a_zlib_stream_as_kombu_writes_and_real_gzip_is_read_too() -> None:
    assert zlib.decompress(compress(BODY, "gzip")[0]) == BODY
    assert decompress(gzip.compress(BODY), GZIP, ROOM) == BODY


@pytest.mark.parametrize("name", ["gzip", "bzip2", "lzma"])
def test_a_bomb_is_refused_before_it_takes_the_memory(name: str) -> None:
    bomb, content_type = compress(bytes(10_000_000), name)
    with pytest.raises(DecodeError, match="more than 1024 bytes"):
        decompress(bomb, content_type, ROOM)


@pytest.mark.parametrize("name", ["gzip", "bzip2", "lzma"])
def test_a_body_of_exactly_the_limit_passes(name: str) -> None:
    compressed, content_type = compress(bytes(ROOM), name)
    assert decompress(compressed, content_type, ROOM) == bytes(ROOM)
    with pytest.raises(DecodeError):
        decompress(compressed, content_type, ROOM - 1)


@pytest.mark.parametrize("name", ["brotli", "application/x-brotli", "zstd", "zstandard", "application/zstd"])
def test_formats_that_need_a_package_are_refused_by_name(name: str) -> None:
    with pytest.raises(UnsupportedOption, match=r"not supported yet.*gzip"):
        compress(BODY, name)
    with pytest.raises(UnsupportedOption, match=r"not supported yet.*gzip"):
        decompress(BODY, name, ROOM)


def test_an_unknown_format_is_refused_with_those_that_exist() -> None:
    with pytest.raises(UnsupportedOption, match=r"'nope'.*bzip2"):
        compress(BODY, "nope")


@given(st.binary(max_size=200), st.sampled_from(["gzip", "bzip2", "lzma"]))
def test_bodies_round_trip(body: bytes, name: str) -> None:
    assert decompress(*compress(body, name), max_size=ROOM) == body


@given(st.binary(max_size=200), st.sampled_from(["gzip", "bzip2", "lzma"]), st.integers(1, 20))
def test_a_stream_that_was_cut_off_is_a_decode_error(body: bytes, name: str, missing: int) -> None:
    compressed, content_type = compress(body, name)
    with pytest.raises(DecodeError):
        decompress(compressed[: -min(missing, len(compressed))], content_type, ROOM)


@given(st.binary(max_size=50), st.sampled_from([GZIP, BZIP2, LZMA]))
def test_arbitrary_bytes_raise_nothing_but_decode_error(body: bytes, content_type: str) -> None:
    with pytest.raises(DecodeError):
        decompress(b"\x00" + body, content_type, ROOM)
