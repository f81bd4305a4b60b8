"""Windows of publications, and what the server says of each."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from celeriac.stores.amqp.confirms import Confirms
from celeriac.stores.amqp.wire import Confirmation, Publication, Returned

PROPERTIES = b"\x00\x00"


def publications(count: int, body: bytes = b"") -> list[Publication]:
    return [Publication("", f"queue{each}", PROPERTIES, body) for each in range(count)]


@st.composite
def confirmed(draw: st.DrawFn) -> tuple[list[int], list[Confirmation], set[int]]:
    """Sizes of windows, what a server says of them, and the tags that it refuses."""
    sizes = draw(st.lists(st.integers(1, 5), min_size=1, max_size=5))
    total = sum(sizes)
    left, said, refused = set(range(1, total + 1)), [], set()
    while left:
        tag = draw(st.sampled_from(sorted(left)))
        multiple, taken = draw(st.booleans()), draw(st.booleans())
        meant = {each for each in left if each == tag or (multiple and each < tag)}
        left -= meant
        if not taken:
            refused |= meant
        said.append(Confirmation(1, tag, multiple, taken))
    return sizes, said, refused


@given(confirmed())
def test_a_window_is_done_when_the_server_has_answered_for_each_of_it(
    case: tuple[list[int], list[Confirmation], set[int]],
) -> None:
    sizes, said, refused = case
    confirms: Confirms[int] = Confirms()
    windows = [confirms.sent(publications(size), number) for number, size in enumerate(sizes)]
    answered: set[int] = set()
    done: set[int] = set()
    for each in said:
        answered |= {tag for tag in range(1, sum(sizes) + 1) if tag == each.tag or (each.multiple and tag < each.tag)}
        for window in confirms.confirmed(each):
            assert window.waiter not in done
            done.add(window.waiter)
        assert done == {w.waiter for w in windows if set(range(w.first, w.last + 1)) <= answered}
        for window in windows:
            assert window.open == [t - window.first for t in range(window.first, window.last + 1) if t not in answered]
    for window in windows:
        assert [each.index + window.first for each in window.refused] == sorted(
            refused & set(range(window.first, window.last + 1))
        )
    assert len(confirms) == 0


def returned(publication: Publication, properties: bytes = PROPERTIES) -> Returned:
    return Returned(1, 312, "NO_ROUTE", publication.exchange, publication.routing_key, properties, publication.body)


@given(st.sets(st.integers(0, 9), max_size=10))
def test_what_comes_back_is_found_in_its_window(back: set[int]) -> None:
    confirms: Confirms[None] = Confirms()
    sent = publications(10)
    windows = [confirms.sent(sent[:4], None), confirms.sent(sent[4:], None)]
    for index in sorted(back):
        confirms.returned(returned(sent[index]))
    confirms.confirmed(Confirmation(1, 10, True, True))
    found = [each.index for each in windows[0].refused] + [each.index + 4 for each in windows[1].refused]
    assert found == sorted(back)
    assert all(each.is_unroutable for window in windows for each in window.refused)


def test_equal_messages_come_back_one_after_the_other() -> None:
    confirms: Confirms[None] = Confirms()
    window = confirms.sent([Publication("", "q", PROPERTIES, b"same")] * 3, None)
    confirms.returned(returned(window.publications[0]))
    confirms.confirmed(Confirmation(1, 1, False, True))
    confirms.returned(returned(window.publications[0]))
    confirms.confirmed(Confirmation(1, 3, True, True))
    assert [each.index for each in window.refused] == [0, 1]


def test_messages_that_differ_in_properties_only_are_told_apart() -> None:
    confirms: Confirms[None] = Confirms()
    sent = [Publication("", "q", PROPERTIES, b"same"), Publication("", "q", b"\x08\x00\x05", b"same")]
    window = confirms.sent(sent, None)
    confirms.returned(returned(sent[1], sent[1].properties))
    assert [each.index for each in window.refused] == [1]


def test_a_message_whose_properties_the_server_wrote_anew_is_found_all_the_same() -> None:
    confirms: Confirms[None] = Confirms()
    window = confirms.sent(publications(2, b"body"), None)
    confirms.returned(returned(window.publications[1], b"\x10\x00\x02"))
    assert [each.index for each in window.refused] == [1]


def test_what_was_not_mandatory_does_not_come_back() -> None:
    confirms: Confirms[None] = Confirms()
    window = confirms.sent([Publication("", "q", PROPERTIES, b"", False), Publication("", "q", PROPERTIES, b"")], None)
    confirms.returned(returned(window.publications[0]))
    assert [each.index for each in window.refused] == [1]
