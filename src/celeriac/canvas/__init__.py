"""Canvas: calls as values, and workflows of them: chains, groups, chords, maps and chunks."""

from celeriac.canvas.chain import Chain, chain
from celeriac.canvas.chord import chord
from celeriac.canvas.group import group
from celeriac.canvas.maps import chunks, xmap, xstarmap
from celeriac.canvas.signature import Signature, maybe_signature, signature
from celeriac.canvas.stamping import StampingVisitor

_chain, _chord = Chain, chord
subtask, maybe_subtask = signature, maybe_signature

__all__ = [
    "Chain",
    "Signature",
    "StampingVisitor",
    "chain",
    "chord",
    "chunks",
    "group",
    "maybe_signature",
    "maybe_subtask",
    "signature",
    "subtask",
    "xmap",
    "xstarmap",
]
