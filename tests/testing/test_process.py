"""The simulated processes: real asyncio programs on virtual time."""

from __future__ import annotations

import asyncio

import pytest

from celeriac.testing.process import Process, current_process
from celeriac.testing.world import World


def never() -> bool:
    return False


def in_process(world: World, program, name: str = "p") -> Process:
    process = Process(world, name)
    process.call_soon(lambda: process.create_task(program()))
    return process


def test_an_hour_passes_at_once():
    world, ended = World(0), []

    async def sleep():
        await asyncio.sleep(3600)
        ended.append(asyncio.get_running_loop().time())

    in_process(world, sleep)
    assert not world.run(never, 10_000)
    assert ended == [pytest.approx(3600)]


def test_timeouts_strike_in_virtual_time():
    world, struck = World(0), []

    async def wait():
        try:
            async with asyncio.timeout(5):
                await asyncio.get_running_loop().create_future()
        except TimeoutError:
            struck.append(world.now)

    in_process(world, wait)
    world.run(never, 100)
    assert struck == [pytest.approx(5, abs=0.001)]


def test_callbacks_of_one_process_run_in_their_order():
    world, order = World(3), []
    process = Process(world, "p")
    for number in range(20):
        process.call_soon(order.append, number)
    world.run(never, 1)
    assert order == list(range(20))


def test_steps_of_different_processes_are_mixed_by_the_seed():
    def mixture(seed):
        world, order = World(seed), []
        for name in "ab":
            process = Process(world, name)
            for _ in range(10):
                process.call_soon(order.append, name)
        world.run(never, 1)
        return "".join(order)

    assert mixture(1) == mixture(1)
    assert len({mixture(seed) for seed in range(10)}) > 5


def test_timers_that_end_at_the_same_moment_end_in_any_order():
    def order_of(seed):
        world, order = World(seed), []
        process = Process(world, "p")
        for number in range(5):
            process.call_later(1.0, order.append, number)
        world.run(never, 2)
        return tuple(order)

    assert len({order_of(seed) for seed in range(10)}) > 3


def test_a_frozen_process_takes_no_steps_until_it_thaws():
    world, ticks = World(0), []

    async def tick():
        while True:
            await asyncio.sleep(1)
            ticks.append(world.now)

    process = in_process(world, tick)

    def freeze():
        process.frozen = True

    def thaw():
        process.frozen = False

    world.after(2.5, freeze)
    world.after(10.0, thaw)
    world.run(lambda: world.now > 12, 100)
    assert [round(at) for at in ticks[:4]] == [1, 2, 10, 11]
    process.bury()


def test_a_killed_process_does_nothing_more_not_even_its_finally():
    world, done = World(0), []

    async def work():
        try:
            await asyncio.sleep(10)
        finally:
            done.append(process.dead)

    process = in_process(world, work)
    world.after(5.0, process.kill)
    world.run(never, 20)
    assert done == []
    process.bury()
    assert done == [False]  # only when it was taken apart
    assert process.is_closed()


def test_a_fault_strikes_after_as_many_steps():
    world, done = World(0), []
    process = Process(world, "p")
    for number in range(10):
        process.call_soon(done.append, number)
    process.after_steps(4, process.kill)
    world.run(never, 1)
    assert done == [0, 1, 2, 3]
    process.bury()


def test_what_nobody_catches_is_remembered():
    world = World(0)
    process = Process(world, "p")
    process.call_soon(lambda: 1 / 0)
    world.run(never, 1)
    assert "ZeroDivisionError" in process.errors[0]


def test_outside_of_a_simulation_there_is_no_process():
    with pytest.raises(RuntimeError):
        current_process()


async def test_another_event_loop_is_no_process():
    with pytest.raises(RuntimeError, match="part of a simulation"):
        current_process()


def test_a_timer_that_sets_itself_anew_does_not_stop_the_clock():
    world = World(0)
    process = Process(world, "p")

    def again():
        process.call_later(0.0, again)

    again()
    world.run(lambda: world.steps > 100, 1.0)
    assert world.now > 0
