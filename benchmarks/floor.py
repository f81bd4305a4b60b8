"""The floor: the hot path by hand. Redis, one main process on an event loop, forked children, two scripts.

    python -m benchmarks.floor CHILDREN        a worker; the harness starts it as it starts the others

A yardstick and no worker: no leases, fences, priorities, limits or errors. It claims and settles atomically, writes
Celery's message and result formats, stores and publishes every result. What a real worker loses against it is the
price of its duties. Every line is there for speed; the client below builds each message whole, as a real one must.
"""

from __future__ import annotations

import asyncio
import base64
import os
import signal
import socket
import struct
import sys
import time
import uuid
from typing import Any, cast

import msgspec
import redis
import redis.asyncio
import uvloop

from benchmarks import marks
from benchmarks.apps import BROKER
from benchmarks.apps.sender import ANSWER_LIMIT, Sender

QUEUE = "celery"
UNACKED = "unacked"
INDEX = "unacked_index"
TAGS = "floor-tags"
WAITING = "floor-waiting"
BATCH = 64
"""Messages claimed for one child at a time."""
PIPELINED = 500
"""Messages sent in one LPUSH of a batch."""
BLOCK = 5
"""Seconds that one blocking read waits for the first message."""
SUBSCRIBE_WAIT = 1.0
LENGTH = struct.Struct(">I")
"""Size in bytes of the batch that follows."""
STREAM_LIMIT = 1 << 24

# KEYS: queue, in-flight table, its index, tag counter. ARGV: at most so many, time of the claim.
# Returns the tag before the first and the messages; each is in the in-flight table when it has left the queue.
CLAIM = """
local messages = redis.call('RPOP', KEYS[1], ARGV[1])
if not messages then return {0, {}} end
local tag = redis.call('INCRBY', KEYS[4], #messages) - #messages
local fields, scores = {}, {}
for i, message in ipairs(messages) do
  fields[2 * i - 1], fields[2 * i] = tag + i, message
  scores[2 * i - 1], scores[2 * i] = ARGV[2], tag + i
end
redis.call('HSET', KEYS[2], unpack(fields))
redis.call('ZADD', KEYS[3], unpack(scores))
return {tag, messages}
"""
# KEYS: in-flight table, its index. ARGV: tag, task id, encoded result; repeated.
SETTLE = """
local tags = {}
for i = 1, #ARGV, 3 do
  local key = 'celery-task-meta-' .. ARGV[i + 1]
  redis.call('SET', key, ARGV[i + 2], 'EX', 86400)
  redis.call('PUBLISH', key, ARGV[i + 2])
  tags[#tags + 1] = ARGV[i]
end
redis.call('HDEL', KEYS[1], unpack(tags))
redis.call('ZREM', KEYS[2], unpack(tags))
"""

to_json = msgspec.json.Encoder().encode
from_json = msgspec.json.Decoder().decode
to_frame = msgspec.msgpack.Encoder().encode
from_frame = msgspec.msgpack.Decoder().decode


def message() -> tuple[str, bytes]:
    """A task id and a whole message in protocol 2 within kombu's envelope."""
    task_id = str(uuid.uuid4())
    embedded = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}
    headers: dict[str, Any] = {
        "lang": "py",
        "task": "benchmarks.floor.noop",
        "id": task_id,
        "shadow": None,
        "eta": None,
        "expires": None,
        "group": None,
        "group_index": None,
        "retries": 0,
        "timelimit": [None, None],
        "root_id": task_id,
        "parent_id": None,
        "argsrepr": "()",
        "kwargsrepr": "{}",
        "origin": "floor@localhost",
        "ignore_result": False,
        "replaced_task_nesting": 0,
        "stamped_headers": None,
        "stamps": {},
    }
    properties = {
        "correlation_id": task_id,
        "reply_to": "",
        "delivery_mode": 2,
        "delivery_info": {"exchange": "", "routing_key": QUEUE},
        "priority": 0,
        "body_encoding": "base64",
        "delivery_tag": str(uuid.uuid4()),
    }
    return task_id, to_json(
        {
            "body": base64.b64encode(to_json([[], {}, embedded])).decode(),
            "content-encoding": "utf-8",
            "content-type": "application/json",
            "headers": headers,
            "properties": properties,
        }
    )


def run_child(sock: socket.socket) -> None:
    """Run batches of requests until the main process is gone."""
    stream = sock.makefile("rb", 1 << 20)
    while head := stream.read(LENGTH.size):
        outcomes = []
        for tag, task_id, body in from_frame(stream.read(LENGTH.unpack(head)[0])):
            from_json(base64.b64decode(body))
            marks.done()
            record = {
                "status": "SUCCESS",
                "result": 1,
                "traceback": None,
                "children": [],
                "date_done": "2026-01-01T00:00:00+00:00",
                "task_id": task_id,
            }
            outcomes += [tag, task_id, to_json(record)]
        frame = to_frame(outcomes)
        sock.sendall(LENGTH.pack(len(frame)) + frame)


class Link:
    """The main process's end of one child."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def start(cls) -> Link:
        """Fork a child."""
        ours, theirs = socket.socketpair()
        if os.fork() == 0:
            # The loop's handlers are the parent's; the child must simply die.
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            ours.close()
            run_child(theirs)
            os._exit(0)
        theirs.close()
        return cls(*await asyncio.open_unix_connection(sock=ours, limit=STREAM_LIMIT))

    async def exchange(self, requests: list[tuple[str, str, str]]) -> list[Any]:
        """Have the child run `requests`; return tag, task id and record of each, flat."""
        frame = to_frame(requests)
        self.writer.write(LENGTH.pack(len(frame)) + frame)
        (size,) = LENGTH.unpack(await self.reader.readexactly(LENGTH.size))
        return cast("list[Any]", from_frame(await self.reader.readexactly(size)))


class Worker:
    """The main process: claims for whichever child is idle, settles whatever is ready in one trip."""

    def __init__(self) -> None:
        # redis-py gives up reading after 5 s unless told otherwise, also while a blocking command waits.
        self.claims = redis.asyncio.Redis.from_url(BROKER, socket_timeout=None)
        self.settles = redis.asyncio.Redis.from_url(BROKER)
        self.claim = self.claims.register_script(CLAIM)
        self.settle = self.settles.register_script(SETTLE)
        self.idle: asyncio.Queue[Link] = asyncio.Queue()
        self.pending: list[Any] = []
        self.ready = asyncio.Event()
        self.running: set[asyncio.Task[None]] = set()

    async def work(self, children: int) -> None:
        """Run until killed."""
        for _ in range(children):
            self.idle.put_nowait(await Link.start())
        settler = asyncio.create_task(self._settle())
        while not settler.done():
            link = await self.idle.get()
            task = asyncio.create_task(self._serve(link, await self._receive()))
            self.running.add(task)
            task.add_done_callback(self.running.discard)

    async def _receive(self) -> list[tuple[str, str, str]]:
        keys = [QUEUE, UNACKED, INDEX, TAGS]
        while True:
            tag, messages = cast("tuple[int, list[bytes]]", await self.claim(keys, [BATCH, int(time.time())]))
            if not messages:
                # A message that was waited for is not recorded as in flight: one more thing that a floor leaves out.
                one = await cast("Any", self.claims.blmove(QUEUE, WAITING, BLOCK, "RIGHT", "LEFT"))
                messages = [one] if one else []
            if messages:
                envelopes = [from_json(text) for text in messages]
                return [(str(tag + i), e["headers"]["id"], e["body"]) for i, e in enumerate(envelopes, 1)]

    async def _serve(self, link: Link, requests: list[tuple[str, str, str]]) -> None:
        outcomes = await link.exchange(requests)
        # Looked up after the wait: the settler has put a new list in its place meanwhile.
        self.pending += outcomes
        self.ready.set()
        self.idle.put_nowait(link)

    async def _settle(self) -> None:
        while True:
            await self.ready.wait()
            self.ready.clear()
            outcomes, self.pending = self.pending, []
            await self.settle([UNACKED, INDEX], outcomes)


class FloorSender(Sender):
    """The client by hand."""

    def __init__(self) -> None:
        self.client = redis.Redis.from_url(BROKER)
        self.listener: Any = cast("Any", self.client).pubsub()

    def send(self) -> object:
        """Send one."""
        return self.client.lpush(QUEUE, message()[1])

    def send_batch(self, count: int) -> object:
        """Send many, `PIPELINED` in one command."""
        for first in range(0, count, PIPELINED):
            texts = [message()[1] for _ in range(min(PIPELINED, count - first))]
            self.client.lpush(QUEUE, *texts)
        return None

    def call(self) -> object:
        """Subscribe, send, wait for the published record."""
        task_id, text = message()
        self.listener.subscribe(f"celery-task-meta-{task_id}")
        self.client.lpush(QUEUE, text)
        deadline = time.monotonic() + ANSWER_LIMIT
        while time.monotonic() < deadline:
            event = self.listener.get_message(timeout=SUBSCRIBE_WAIT)
            if event and event["type"] == "message":
                self.listener.unsubscribe()
                return from_json(event["data"])["result"]
        raise TimeoutError(f"task {task_id} did not answer within {ANSWER_LIMIT:g} s")

    def send_stamp(self, reference: float) -> object:
        """The floor has no task but the one."""
        raise NotImplementedError

    def send_at(self, due: float) -> object:
        """The floor has no task but the one."""
        raise NotImplementedError


def sender() -> Sender:
    """The client's side."""
    return FloorSender()


if __name__ == "__main__":
    uvloop.run(Worker().work(int(sys.argv[1])))
