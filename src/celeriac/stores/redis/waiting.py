"""Waiting for messages without asking again and again.

Two connections wait. One blocks in BLMOVE on the main list of one queue, whose messages wake exactly one worker. The
other watches everything else (the other lists, and the times at which held messages are due) by client-side tracking:
the server says once that a key changed, then the key must be read again. An idle worker sends one BLMOVE each five
seconds on the one, and three reads each fifteen seconds on the other.

What BLMOVE brings lies in a list of our own until a claim takes it. That list is in a registry with a lease, so that
another worker finds it when we die. No race loses it:

- BLMOVE is sent only while the registration lasts, so its list is always registered.
- The claim script always looks into the list, whether we know of a message there or not.
- When the caller stops waiting while BLMOVE is under way, it is unblocked; a message that came at the very moment is
  moved back to its queue unless a claim was faster.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Callable, Sequence
from typing import Any, Final

from hiredis import ReplyError

from celeriac.stores.redis.claiming import Plan
from celeriac.stores.redis.connection import Connection, State
from celeriac.stores.redis.errors import Remedy, remedy_for
from celeriac.stores.redis.keys import Keys
from celeriac.stores.redis.link import Link
from celeriac.stores.redis.scripts import ADOPT, REGISTER
from celeriac.stores.redis.server import Server
from celeriac.stores.redis.wire import pack_command

__all__ = ["Waiting"]

logger = logging.getLogger("celeriac.stores.redis")

_BLOCK: Final = 5.0
"""Seconds of one BLMOVE: short enough to notice a peer that is gone."""
_BLOCK_WHERE_IT_MOVES: Final = 2.0
"""The same where another server may take over: an idle worker is to notice that soon."""
_LOOK_AGAIN: Final = 15.0
"""Seconds after which the watched keys are read though nothing was said: notices a peer that is gone."""
_JITTER_EACH: Final = 0.0002
"""Seconds by which the start of a claim is spread for each other idle worker: about the time that one claim takes."""
_JITTER_MOST: Final = 0.02
_GRACE: Final = 0.02
"""Seconds within which a BLMOVE that is about to end is left to end by itself."""
_AFTER_ERROR: Final = 1.0
"""Seconds before the next BLMOVE on a list that refused one, and for the last one to end."""
_TRACK: Final = pack_command((b"CLIENT", b"TRACKING", b"ON"))


class Waiting:
    """The two connections that wait, owned by one store; one caller waits at a time.

    Args:
        server: where.
        keys: the names.
        incarnation: of the store.
        lease: seconds of a registration.
        control: the connection that unblocks.
    """

    def __init__(self, server: Server, keys: Keys, incarnation: bytes, lease: float, control: Link) -> None:
        self._keys = keys
        self._incarnation = incarnation
        self._lease = lease
        self._control = control
        self._server = server
        # Where the data may move, silence is looked into sooner.
        self._block_time = _BLOCK_WHERE_IT_MOVES if server.topology.moves else _BLOCK
        self._blocking = Link(server, "waiting", patience=self._block_time)
        self._watching = Link(server, "watching", on_push=self._pushed, on_connect=self._track)
        self._wake: asyncio.Future[None] | None = None
        self._came = False
        self._brought: bytes | None = None
        self.claims = 0
        """Grows whenever a claim begins or ends: one that does so beside BLMOVE may take what BLMOVE brings."""
        self._claims_before = 0
        self._blocked: str | None = None
        self._block_ends = 0.0
        self._ended = asyncio.Event()
        self._not_before = 0.0
        self._stranded: set[str] = set()
        self._is_waiting = False
        self._stopped = False
        self._armed: frozenset[str] | None = None
        self._looked = 0.0
        self._due: float | None = None
        self._registered: dict[str, float] = {}
        self._registered_over = 0
        self.queue = ""
        self.waiter = b""
        self.idle_workers = 1

    @property
    def due(self) -> float | None:
        """When the first held message is due, by the loop's clock, as far as is known."""
        return self._due

    def registrations(self) -> list[bytes]:
        """All registrations of this store, for renewal."""
        return [self._keys.waiter(self._incarnation, queue) for queue in self._registered]

    def renewed(self) -> None:
        """The registrations were renewed just now."""
        now = asyncio.get_running_loop().time()
        self._registered = dict.fromkeys(self._registered, now)

    def is_quiet(self, plan: Plan) -> bool:
        """Whether the last look found nothing and nothing was said since: then a claim would find nothing either.

        The main list is not known to be empty, but BLMOVE looks at it itself.
        """
        return self._armed == plan.names

    def turn_to(self, queues: Sequence[str]) -> None:
        """Let the first of these be the queue that BLMOVE waits on, unless the one now is among them."""
        if self.queue not in queues:
            self._registered.pop(self.queue, None)
            if self._blocked is not None:
                self._unblock()
            self.queue = queues[0]
            self.waiter = self._keys.waiter(self._incarnation, self.queue)
            self._armed = None

    async def wait(self, plan: Plan, due: float | None, timeout: float) -> bytes | None:
        """Return when there may be something to claim, or after ``timeout`` seconds; the message that BLMOVE brought,
        if any, and if no claim that ran beside it can have taken it already.

        Args:
            plan: the queues; a claim has just found nothing there.
            due: when the first held message is due, by the loop's clock.
            timeout: seconds.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        self._due = due
        self._brought = None
        self._is_waiting = True
        try:
            while not self._came and not self._stopped:
                await self._block(loop, deadline)
                if self._armed != plan.names or loop.time() >= self._looked + _LOOK_AGAIN:
                    if await self._arm(plan):
                        break
                    continue
                refused = (
                    self._not_before or deadline
                )  # the server refuses BLMOVE (when it is full): then ask now and then
                until = min(deadline, refused, self._due or deadline)
                if loop.time() >= until:
                    break
                await self._sleep(loop, min(until, self._looked + _LOOK_AGAIN))
            return self._brought if self.claims == self._claims_before else None
        finally:
            self._is_waiting = self._came = False
            self._not_before = 0.0
            if self._blocked is not None and self._block_ends > loop.time() + _GRACE:
                self._unblock()

    async def _sleep(self, loop: asyncio.AbstractEventLoop, until: float) -> None:
        self._wake = loop.create_future()
        timer = loop.call_at(until, self._poke)
        try:
            await self._wake
        finally:
            self._wake = None
            timer.cancel()
        if self._armed is None and self.idle_workers > 1:
            # Every idle worker was told: whoever comes first takes it, the others find nothing on their look.
            await asyncio.sleep(random.random() * min(_JITTER_MOST, _JITTER_EACH * self.idle_workers))

    def _poke(self) -> None:
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    # ---------------------------------------------------------------------------------------------------- the main list

    async def _block(self, loop: asyncio.AbstractEventLoop, deadline: float) -> None:
        """Have a BLMOVE under way."""
        if self._blocked is not None or self._not_before:
            return
        connection = await self._blocking.connect()
        queue = self.queue
        if self._blocking.generation != self._registered_over:  # a server that took over may not know of it
            self._registered.pop(queue, None)
        if loop.time() - self._registered.get(queue, float("-inf")) > self._lease / 2:
            await self._blocking.run(REGISTER, [self._keys.waiters], [self.waiter, self._lease])
            self._registered[queue] = loop.time()
            connection = await self._blocking.connect()
            self._registered_over = self._blocking.generation
        seconds = max(_GRACE, min(self._block_time, deadline - loop.time()))
        source, own = self._keys.list_of(queue, 0), self._keys.waiting(self.waiter)
        future = connection.request(pack_command((b"BLMOVE", source, own, b"RIGHT", b"LEFT", f"{seconds:.3f}")))
        self._claims_before = self.claims
        self._blocked, self._block_ends, connection.state = queue, loop.time() + seconds, State.RECEIVING
        self._ended.clear()
        future.add_done_callback(lambda done: self._unblocked(done, connection, queue))

    def _unblocked(self, future: asyncio.Future[Any], connection: Connection, queue: str) -> None:
        """BLMOVE is over: it brought a message, it found none in its time, or the connection broke."""
        self._blocked = None
        self._ended.set()
        if connection.state is State.RECEIVING:
            connection.state = State.READY
        if future.cancelled():
            return
        reply = future.exception() or future.result()
        if isinstance(reply, ReplyError) and not str(reply).startswith("UNBLOCKED"):
            self._refused(reply, connection, queue)
        elif isinstance(reply, bytes):
            if self._is_waiting and queue == self.queue:
                self._came = True
                self._brought = reply
            else:
                self._give_back(queue)
        self._poke()

    def _refused(self, refusal: ReplyError, connection: Connection, queue: str) -> None:
        remedy = remedy_for(refusal)
        if remedy is Remedy.MOVED and self._server.is_cluster:
            self._server.redirected(connection, refusal)
        elif remedy is Remedy.RECONNECT:
            self._server.demoted(connection)
        else:
            logger.warning("cannot wait on queue %r, looking each second instead: %s", queue, refusal)
            self._not_before = asyncio.get_running_loop().time() + _AFTER_ERROR

    def _give_back(self, queue: str) -> None:
        """A message came when nobody waits for it any more: move it back, unless a claim takes it first."""
        waiter = self._keys.waiter(self._incarnation, queue)
        keys = [self._keys.waiters, self._keys.waiting(waiter), self._keys.list_of(queue, 0)]
        self._stranded.add(queue)
        self._fire(ADOPT.packed_whole(keys, [waiter, 1, 0]), lambda: self._stranded.discard(queue))

    async def give_back_stranded(self) -> None:
        """Move back what :meth:`_give_back` could not, because the connection broke."""
        for queue in list(self._stranded):
            await self._adopt_own(queue, leave=False)
            self._stranded.discard(queue)

    async def _adopt_own(self, queue: str, leave: bool) -> None:
        waiter = self._keys.waiter(self._incarnation, queue)
        keys = [self._keys.waiters, self._keys.waiting(waiter), self._keys.list_of(queue, 0)]
        await self._control.run(ADOPT, keys, [waiter, 1, int(leave)])

    def _unblock(self) -> None:
        """End the BLMOVE that is under way; its reply comes to :meth:`_unblocked`."""
        connection, control = self._blocking.connection, self._control.connection
        if connection is None:
            return
        if control is not None and control.address.place != connection.address.place:
            connection.abort()  # the data has moved, and its number means somebody else there
        else:
            self._fire(pack_command((b"CLIENT", b"UNBLOCK", connection.server[b"id"])))

    def _fire(self, packed: bytes, done: Callable[[], None] = lambda: None) -> None:
        """Send without waiting for the reply."""
        connection = self._control.connection
        if connection is not None:
            connection.request(packed).add_done_callback(lambda future: done() if _succeeded(future) else None)

    # ------------------------------------------------------------------------------------------------ everything else

    def _track(self, connection: Connection) -> None:
        connection.request(_TRACK).add_done_callback(_succeeded)

    def _pushed(self, push: list[Any] | None) -> None:
        """Keys changed, or (None) the connection broke: look again."""
        if push is None or push[0] == b"invalidate":
            self._armed = None
            self._poke()

    async def _arm(self, plan: Plan) -> bool:
        """Read all watched keys, so that the server tells us of their next change; True when one holds something now.

        It is armed before the reply is read: a change after the reading invalidates what this sets.
        """
        lists = [key for queue in plan.queues for key in self._keys.lists(queue)]
        lists.remove(self._keys.list_of(self.queue, 0))
        commands = [
            pack_command((b"MGET", *[self._keys.due(queue) for queue in plan.queues])),
            pack_command((b"TIME",)),
        ]
        if lists:
            commands.append(pack_command((b"EXISTS", *lists)))
        await self._watching.connect()
        self._armed = plan.names
        generation = self._watching.generation
        replies = await self._watching.send_all(commands)
        loop = asyncio.get_running_loop()
        self._looked = loop.time()
        now = int(replies[1][0]) + int(replies[1][1]) / 1e6
        times = [float(due) for due in replies[0] if due is not None]
        self._due = self._looked + min(times) - now if times else None
        found = bool(lists and replies[2])
        if found or self._watching.generation != generation:
            self._armed = None
        return found

    def nudge(self) -> None:
        """Let the caller who waits, if one does, look now."""
        self._came = self._is_waiting
        self._poke()

    def stop(self) -> None:
        """Let the caller who waits go, and nobody wait again."""
        self._stopped = True
        self._poke()

    async def release(self) -> None:
        """Give back what lies in our lists and leave the registry."""
        if self._blocked is not None:
            self._unblock()
            with contextlib.suppress(TimeoutError):  # the connection is half-open: what came is adopted all the same
                await asyncio.wait_for(self._ended.wait(), _AFTER_ERROR)
        for queue in self._registered:
            await self._adopt_own(queue, leave=True)
        self._registered = {}

    def close(self) -> None:
        """Drop the connections."""
        self._blocking.close()
        self._watching.close()


def _succeeded(future: asyncio.Future[Any]) -> bool:
    """Take note of the outcome of what is not waited for."""
    if future.cancelled() or future.exception() is not None:
        return False
    if isinstance(future.result(), ReplyError):
        logger.warning("a command that was not waited for failed: %s", future.result())
        return False
    return True
