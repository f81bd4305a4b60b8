"""Canvas: calls as values. Chains, groups and chords build on :class:`~celeriac.canvas.signature.Signature`."""

from celeriac.canvas.signature import Signature, maybe_signature, signature

__all__ = ["Signature", "maybe_signature", "signature"]
