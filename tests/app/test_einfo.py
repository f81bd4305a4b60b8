"""What hooks and signals are told about an exception."""

from __future__ import annotations

from celeriac.app.einfo import MAX_FRAMES, ExceptionInfo


def caught(function):
    try:
        function()
    except Exception as error:
        return ExceptionInfo(error)
    raise AssertionError


def test_it_holds_the_exception_and_its_traceback():
    def fail():
        raise KeyError("x")

    info = caught(fail)
    assert (info.type, info.exception.args, info.exc_info[0]) == (KeyError, ("x",), KeyError)
    assert info.exc_info[2] is info.tb
    assert "in fail" in str(info)
    assert "KeyError: 'x'" in info.traceback
    assert repr(info) == "<ExceptionInfo: KeyError('x')>"


def test_causes_are_told():
    def fail():
        try:
            raise KeyError("first")
        except KeyError as error:
            raise ValueError("second") from error

    assert "direct cause" in str(caught(fail))


def test_a_deep_recursion_is_cut():
    def fall(levels):
        if levels:
            other(levels - 1)
        raise ValueError

    def other(levels):
        fall(levels)

    info = caught(lambda: fall(400))
    assert info.traceback.count('File "') <= MAX_FRAMES


def test_an_exception_that_cannot_be_printed_hides_nothing():
    class Broken(Exception):
        def __str__(self):
            raise RuntimeError("no text")

    def fail():
        raise Broken

    assert "Broken" in str(caught(fail))


def test_an_exception_without_a_traceback_has_its_own_line():
    assert str(ExceptionInfo(KeyError("x"))) == "KeyError: 'x'\n"
