"""The proxy may delay and break, but it brings what was sent in that order: anything else would be no network."""

from __future__ import annotations

import asyncio

from tests.proxy import proxy_to

NUMBERS = 6000


async def _numbers_through_a_proxy(delay: float) -> list[int]:
    """What arrives of the numbers that were sent one by one, the delay going on and off meanwhile."""
    arrived = bytearray()
    over = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            arrived.extend(data)
        over.set()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    with proxy_to(server.sockets[0].getsockname()) as proxy:
        _, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        for number in range(NUMBERS):
            proxy.delay = delay if number // 100 % 2 == 0 else 0.0
            writer.write(number.to_bytes(4, "big"))
            await asyncio.sleep(0)
        writer.close()
        async with asyncio.timeout(10):
            await over.wait()
    server.close()
    await server.wait_closed()
    return [int.from_bytes(arrived[place : place + 4], "big") for place in range(0, len(arrived), 4)]


async def test_what_is_delayed_arrives_complete_and_in_its_order() -> None:
    assert await _numbers_through_a_proxy(0.005) == list(range(NUMBERS))
