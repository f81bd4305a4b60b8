"""Ids that never meet: not in one thread, not in many, not across a fork."""

from __future__ import annotations

import multiprocessing
import os
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from celeriac.ids import new_incarnation, new_task_id

#: More than one block of the kernel's randomness.
MANY = 200


def test_a_task_id_is_the_text_of_a_random_uuid() -> None:
    for _ in range(MANY):
        text = new_task_id()
        parsed = uuid.UUID(text)
        assert str(parsed) == text
        assert (parsed.version, parsed.variant) == (4, uuid.RFC_4122)


def test_every_free_bit_of_a_task_id_varies() -> None:
    numbers = [uuid.UUID(new_task_id()).int for _ in range(MANY)]
    ever_set, always_set = 0, -1
    for number in numbers:
        ever_set |= number
        always_set &= number
    assert (ever_set ^ always_set).bit_count() == 122


def test_threads_never_share_a_task_id() -> None:
    with ThreadPoolExecutor(4) as threads:
        batches = list(threads.map(lambda _: [new_task_id() for _ in range(MANY)], range(8)))
    assert len({text for batch in batches for text in batch}) == 8 * MANY


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system cannot fork")
def test_a_forked_child_does_not_repeat_the_ids_of_its_parent() -> None:
    new_task_id()
    context = multiprocessing.get_context("fork")
    reader, writer = context.Pipe(duplex=False)
    child = context.Process(target=lambda: writer.send([new_task_id() for _ in range(MANY)]))
    child.start()
    theirs = reader.recv()
    child.join()
    assert not set(theirs) & {new_task_id() for _ in range(MANY)}


def test_an_incarnation_is_sixteen_random_hexadecimal_characters() -> None:
    incarnations = {new_incarnation() for _ in range(MANY)}
    assert len(incarnations) == MANY
    assert all(len(text) == 16 and bytes.fromhex(text.decode()) for text in incarnations)
