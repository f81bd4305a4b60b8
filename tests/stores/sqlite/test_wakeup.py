"""Bells and those who ring them."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from celeriac.stores.sqlite.wakeup import ADDRESS_SIZE, Bell, Ringer, SocketFolder


@pytest.fixture
def folder(path: Path) -> Iterator[SocketFolder]:
    folder = SocketFolder(path)
    yield folder
    folder.close()


@pytest.fixture
def ringer(folder: SocketFolder) -> Iterator[Ringer]:
    ringer = Ringer(folder)
    yield ringer
    ringer.close()


@pytest.fixture
def bell(folder: SocketFolder) -> Iterator[Bell]:
    bell = Bell(folder)
    yield bell
    bell.close()


def test_a_ring_wakes_who_waits(bell: Bell, ringer: Ringer) -> None:
    assert ringer.ring([bell.name]) == []
    assert bell.wait(5)


def test_who_is_not_rung_wakes_by_the_clock(bell: Bell) -> None:
    assert not bell.wait(0.01)


def test_one_wait_takes_all_rings(bell: Bell, ringer: Ringer) -> None:
    for _ in range(5):
        ringer.ring([bell.name])
    assert bell.wait(5)
    assert not bell.wait(0.01)


def test_a_full_socket_is_a_wake_up_that_is_pending(bell: Bell, ringer: Ringer) -> None:
    for _ in range(1000):
        assert ringer.ring([bell.name]) == []
    assert bell.wait(5)


def test_stopped_readers_do_not_keep_others_from_being_woken(folder: SocketFolder, bell: Bell, ringer: Ringer) -> None:
    # Each unread datagram is charged to its sender: enough of them, and the sender itself is full.
    stopped = [Bell(folder) for _ in range(60)]
    try:
        for _ in range(20):
            ringer.ring([each.name for each in stopped])
        ringer.ring([bell.name])
        assert bell.wait(5)
    finally:
        for each in stopped:
            each.close()


def test_the_dead_are_reported(folder: SocketFolder, bell: Bell, ringer: Ringer) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as dead:
        dead.bind(folder.address("dead"))
    assert ringer.ring(["dead", bell.name, "gone"]) == ["dead", "gone"]
    assert bell.wait(5)


def test_the_living_are_told_from_the_dead(folder: SocketFolder, bell: Bell) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as dead:
        dead.bind(folder.address("dead"))
    assert folder.is_alive(bell.name)
    assert not folder.is_alive("dead")
    assert not folder.is_alive("gone")
    assert not bell.wait(0.01), "to look whether somebody lives is no ring"


def test_only_this_user_can_ring(folder: SocketFolder, bell: Bell) -> None:
    assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700


def test_a_closed_bell_leaves_nothing_behind(folder: SocketFolder) -> None:
    Bell(folder).close()
    assert folder.names() == []


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="only Linux has a way around")
def test_a_path_that_is_too_long_for_an_address_is_no_obstacle(tmp_path: Path) -> None:
    deep = tmp_path.joinpath(*["a-folder-with-a-long-name"] * 6)
    deep.mkdir(parents=True)
    folder = SocketFolder(deep / "store.sqlite3")
    assert len(str(folder.path)) > ADDRESS_SIZE
    bell, ringer = Bell(folder), Ringer(folder)
    assert ringer.ring([bell.name]) == []
    assert bell.wait(5)
    bell.close()
    ringer.close()
    assert folder.names() == []
    folder.close()


def test_a_child_of_a_fork_does_not_remove_its_parents_bell(folder: SocketFolder, bell: Bell, ringer: Ringer) -> None:
    child = os.fork()
    if child == 0:
        bell.close()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert ringer.ring([bell.name]) == []
    assert bell.wait(5)
