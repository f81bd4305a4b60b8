"""Where waiting for a result is refused."""

from __future__ import annotations

import asyncio
import contextvars
import threading

import pytest

from celeriac.result import allow_join_result, assert_will_not_block, denied_join_result
from celeriac.result.blocking import deny_join_result


def test_it_is_allowed_outside_of_tasks_and_the_blocks_nest():
    assert_will_not_block()
    with denied_join_result():
        with pytest.raises(RuntimeError, match="allow_join_result"):
            assert_will_not_block()
        with allow_join_result():
            assert_will_not_block()
        with pytest.raises(RuntimeError):
            assert_will_not_block()
    assert_will_not_block()


def test_denial_belongs_to_a_context_not_to_the_process():
    def child():
        deny_join_result()
        with pytest.raises(RuntimeError):
            assert_will_not_block()

    contextvars.copy_context().run(child)
    assert_will_not_block()
    with denied_join_result():
        thread = threading.Thread(target=assert_will_not_block)
        thread.start()
        thread.join()


async def test_coroutines_inherit_it_and_keep_it_to_themselves():
    async def task():
        with denied_join_result():
            await asyncio.sleep(0)
            with pytest.raises(RuntimeError):
                assert_will_not_block()

    await asyncio.gather(task(), task())
    assert_will_not_block()
