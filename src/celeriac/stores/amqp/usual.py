"""The short ways from a delivery to its envelope and back, for messages that look as nearly all do.

Celery and Celeriac write headers in one order (protocol.md, section 1). A call without eta, expiry, group, limits and
stamps matches one pattern, whose parts stand on the other side as they are: nothing needs to be decoded or escaped.
What does not match goes the long way, through :func:`celeriac.stores.amqp.translation.read` and ``content_of``, which
gives the same. No I/O.
"""

from __future__ import annotations

import binascii
import re
import struct
from functools import lru_cache
from typing import Final

import msgspec

from celeriac.stores.amqp.wire import Incoming

__all__ = ["usual_content", "usual_payload"]

_UUID: Final = rb"[0-9a-f-]{36}"
_TEXT: Final = rb"[ !#-\[\]-~]*"
"""Text that JSON carries as it is; control characters are not among it, so it ends where the next name begins."""

_PATTERN: Final = re.compile(
    rb"\xfe[\x00\x80]\x10application/json\x05utf-8(....)"
    rb"\x04langS\x00\x00\x00\x02py"
    rb"\x04taskS(....)(" + _TEXT + rb")"
    rb"\x02idS\x00\x00\x00\x24(" + _UUID + rb")"
    rb"\x06shadowV\x03etaV\x07expiresV\x05groupV\x0bgroup_indexV"
    rb"\x07retriesI\x00\x00\x00(.)"
    rb"\x09timelimitA\x00\x00\x00\x02VV"
    rb"\x07root_idS\x00\x00\x00\x24(" + _UUID + rb")"
    rb"\x09parent_id(?:V|S\x00\x00\x00\x24(" + _UUID + rb"))"
    rb"\x08argsreprS(....)(" + _TEXT + rb")"
    rb"\x0akwargsreprS(....)(" + _TEXT + rb")"
    rb"\x06originS(....)(" + _TEXT + rb")"
    rb"\x0dignore_resultt([\x00\x01])"
    rb"\x15replaced_task_nestingI\x00\x00\x00\x00"
    rb"\x0fstamped_headersV\x06stampsF\x00\x00\x00\x00"
    rb"(.)(.)\x24(" + _UUID + rb")(?:\x00|\x24(" + _UUID + rb"))(?:\x24(" + _UUID + rb"))?",
    re.DOTALL,
)
_BEFORE_TABLE: Final = 29
"""Bytes of flags, content type, content encoding and the table's length."""
_ENVELOPE: Final = (
    b'{"body":"%b","content-encoding":"utf-8","content-type":"application/json","headers":{"lang":"py","task":"%b",'
    b'"id":"%b","shadow":null,"eta":null,"expires":null,"group":null,"group_index":null,"retries":%d,'
    b'"timelimit":[null,null],"root_id":"%b","parent_id":%b,"argsrepr":"%b","kwargsrepr":"%b","origin":"%b",'
    b'"ignore_result":%b,"replaced_task_nesting":0,"stamped_headers":null,"stamps":{}},"properties":{'
    b'"delivery_mode":%d,"priority":%d,"correlation_id":"%b","reply_to":"%b",%b"delivery_info":%b,'
    b'"body_encoding":"base64","delivery_tag":"%b"}}'
)
_to_number = int.from_bytes


@lru_cache(maxsize=1024)
def _delivery_info(exchange: str, routing_key: str) -> bytes:
    return msgspec.json.encode({"exchange": exchange, "routing_key": routing_key})


def usual_payload(incoming: Incoming) -> bytes | None:
    """The envelope of a delivery, None when it has to go the long way."""
    found = _PATTERN.fullmatch(incoming.properties)
    if found is None:
        return None
    groups = found.groups()
    table, task_length, task, task_id, retries, root, parent, args_length, args, kwargs_length, kwargs = groups[:11]
    origin_length, origin, ignored, mode, priority, correlation, reply_to, message_id = groups[11:]
    if (
        _to_number(task_length) != len(task)
        or _to_number(args_length) != len(args)
        or _to_number(kwargs_length) != len(kwargs)
        or _to_number(origin_length) != len(origin)
        or _to_number(table) != found.start(15) - _BEFORE_TABLE
    ):
        return None
    return _ENVELOPE % (
        binascii.b2a_base64(incoming.body, newline=False),
        task,
        task_id,
        retries[0],
        root,
        b"null" if parent is None else b'"%b"' % parent,
        args,
        kwargs,
        origin,
        b"true" if ignored == b"\x01" else b"false",
        mode[0],
        priority[0],
        correlation,
        reply_to or b"",
        b"" if message_id is None else b'"message_id":"%b",' % message_id,
        _delivery_info(incoming.exchange, incoming.routing_key),
        message_id or b"",
    )


# ---------------------------------------------------------------------------------------------------------- publishing

_WRITTEN: Final = re.compile(
    rb'\{"body":"([A-Za-z0-9+/]*={0,2})","content-encoding":"utf-8","content-type":"application/json",'
    rb'"headers":\{"lang":"py","task":"(' + _TEXT + rb')","id":"(' + _UUID + rb')",'
    rb'"shadow":null,"eta":null,"expires":null,"group":null,"group_index":null,"retries":(0|[1-9][0-9]{0,8}),'
    rb'"timelimit":\[null,null\],"root_id":"(' + _UUID + rb')","parent_id":(?:null|"(' + _UUID + rb')"),'
    rb'"argsrepr":"(' + _TEXT + rb')","kwargsrepr":"(' + _TEXT + rb')","origin":"(' + _TEXT + rb')",'
    rb'"ignore_result":(true|false),"replaced_task_nesting":0,"stamped_headers":null,"stamps":\{\}\},'
    rb'"properties":\{"correlation_id":"(' + _UUID + rb')","reply_to":"(' + _UUID + rb')?",'
    rb'"delivery_mode":([12]),"priority":([0-9]),'
    rb'"delivery_info":\{"exchange":"' + _TEXT + rb'","routing_key":"' + _TEXT + rb'"\},'
    rb'"body_encoding":"base64","delivery_tag":"(' + _UUID + rb')"\}\}'
)
_TABLE: Final = (
    b"\x04langS\x00\x00\x00\x02py\x04taskS%b%b\x02idS\x00\x00\x00\x24%b"
    b"\x06shadowV\x03etaV\x07expiresV\x05groupV\x0bgroup_indexV\x07retriesI%b\x09timelimitA\x00\x00\x00\x02VV"
    b"\x07root_idS\x00\x00\x00\x24%b\x09parent_id%b\x08argsreprS%b%b\x0akwargsreprS%b%b\x06originS%b%b"
    b"\x0dignore_resultt%b\x15replaced_task_nestingI\x00\x00\x00\x00\x0fstamped_headersV\x06stampsF\x00\x00\x00\x00"
)
_PROPERTIES: Final = b"\xfe\x80\x10application/json\x05utf-8%b%b%c%c\x24%b%b\x24%b"
_number: Final = struct.Struct(">I").pack


def usual_content(payload: bytes) -> tuple[bytes, bytes] | None:
    """The encoded properties and the body of an envelope, None when it has to go the long way."""
    found = _WRITTEN.fullmatch(payload)
    if found is None:
        return None
    groups = found.groups()
    body, task, task_id, retries, root, parent, args, kwargs, origin, ignored = groups[:10]
    correlation, reply_to, mode, priority, message_id = groups[10:]
    try:
        raw = binascii.a2b_base64(body, strict_mode=True)
    except binascii.Error:
        return None
    table = _TABLE % (
        _number(len(task)),
        task,
        task_id,
        _number(int(retries)),
        root,
        b"V" if parent is None else b"S\x00\x00\x00\x24" + parent,
        _number(len(args)),
        args,
        _number(len(kwargs)),
        kwargs,
        _number(len(origin)),
        origin,
        b"\x01" if ignored == b"true" else b"\x00",
    )
    properties = _PROPERTIES % (
        _number(len(table)),
        table,
        int(mode),
        int(priority),
        correlation,
        b"\x00" if reply_to is None else b"\x24" + reply_to,
        message_id,
    )
    return properties, raw
