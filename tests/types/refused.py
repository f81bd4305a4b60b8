"""Code that type checkers must refuse: each line that ends in ``# refused`` and no other. Checked, never run."""

from __future__ import annotations

from celeriac import Celeriac, shared_task

app = Celeriac("types")


@app.task
def add(x: int, y: int = 0) -> int:
    return x + y


@app.task(bind=True)
def bound(self: object, text: str) -> str:
    return text


@app.task
async def fetch(url: str) -> bytes:
    return url.encode()


@shared_task
def shared(x: int) -> float:
    return x / 2


add.delay("x")  # refused
add.delay()  # refused
add.delay(1, 2, 3)  # refused
add.delay(1, z=3)  # refused
bound.delay(1)  # refused
bound.delay("x", "y")  # refused
fetch.delay(b"x")  # refused
shared.delay("x")  # refused
text: str = add.delay(1).get()  # refused
number: int = fetch.delay("x").get()  # refused


async def main() -> None:
    await add.adelay("x")  # refused
    print((await (await add.adelay(1))).upper())  # refused
