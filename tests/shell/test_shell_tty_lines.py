"""Lines of a dumb terminal: erased, ended, and handed over where they are too long."""

from __future__ import annotations

import pytest

from aoshell.shell.lines import tty
from aoshell.shell.lines.tty import Keys

CONTROL = [b"\0"] * 32


def keys() -> Keys:
    import termios

    control = list(CONTROL)
    for place, key in (
        (termios.VERASE, b"\x7f"),
        (termios.VKILL, b"\x15"),
        (termios.VWERASE, b"\x17"),
        (termios.VEOF, b"\x04"),
    ):
        control[place] = key
    return Keys(control)


def test_a_terminal_s_line_is_as_long_as_it_is_typed() -> None:
    typed = keys()
    assert typed.take(b"x" * 6000) == (b"", b"")
    assert typed.take(b"\x04y\n") == (b"x" * 6000 + b"y\n", b"") and not typed.ended


def test_a_line_beyond_its_bound_is_handed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tty, "LONGEST", 100)
    typed = keys()
    assert typed.take(b"x" * 100) == (b"", b"")
    assert typed.take(b"y") == (b"x" * 100 + b"y", b"")
    assert typed.take(b"\x7fz\n") == (b"z\n", b"")


def test_erasing_and_ending() -> None:
    typed = keys()
    assert typed.take("añ".encode()) == (b"", b"")
    assert typed.take(b"\x7f") == (b"", b"\b \b")
    assert typed.take(b" two words\x17") == (b"", b"\b \b" * 5)
    assert typed.take(b"\n") == (b"a two \n", b"")
    assert typed.take(b"gone\x15left\x08\n\x04more") == (b"lef\n", b"") and typed.ended
