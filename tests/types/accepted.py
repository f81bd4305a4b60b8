"""Code that type checkers must accept, with the types that they must infer. Checked, never run."""

from __future__ import annotations

from typing import Any, assert_type

from celeriac import AsyncResult, Celeriac, EagerResult, Task, shared_task

app = Celeriac("types")


@app.task
def add(x: int, y: int = 0) -> int:
    return x + y


@app.task(bind=True, max_retries=2, autoretry_for=(OSError,))
def bound(self: Task[..., str], text: str) -> str:
    return f"{self.request.id}{text}"


@app.task
async def fetch(url: str) -> bytes:
    return url.encode()


@app.task(queue="images", rate_limit="10/m")
def resize(path: str, *, width: int) -> tuple[int, int]:
    return width, len(path)


@shared_task
def shared(x: int) -> float:
    return x / 2


assert_type(add(1, 2), int)
assert_type(add.delay(1, 2), AsyncResult[int])
assert_type(add.delay(1).get(timeout=1), int)
assert_type(add.apply_async((1, 2), countdown=3).get(), int)
assert_type(add.apply((1, 2)), EagerResult[int])
assert_type(add.apply((1, 2)).get(), int)
assert_type(bound.delay("x").get(), str)
assert_type(fetch.delay("x").get(), bytes)
assert_type(resize.delay("x", width=3).get(), tuple[int, int])
assert_type(shared.delay(3).get(), float)
assert_type(app.AsyncResult("id").get(), Any)


async def main() -> None:
    assert_type(await add.adelay(1, 2), AsyncResult[int])
    assert_type(await (await add.adelay(1, 2)), int)
    assert_type(await fetch("x"), bytes)
    assert_type(await (await fetch.adelay("x")).aget(timeout=2), bytes)
