"""What a serializer is: a name, the two headers it puts on a message, and two functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec


class Serializer(msgspec.Struct, frozen=True):
    """Turns values into bytes and back.

    Attributes:
        name: What settings call it.
        content_type: MIME type, the message's ``content-type``.
        content_encoding: The message's ``content-encoding``: ``utf-8`` for text, ``binary`` for the rest.
        encode: Returns the bytes of a value; raises EncodeError.
        decode: Returns the value of bytes; raises DecodeError.
        runs_code: Decoding hostile bytes can run code, so nothing decodes it unless ``accept_content`` names it.
    """

    name: str
    content_type: str
    content_encoding: str
    encode: Callable[[Any], bytes]
    decode: Callable[[bytes], Any]
    runs_code: bool = False
