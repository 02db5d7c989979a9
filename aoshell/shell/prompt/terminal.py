"""The terminal before prompt_toolkit takes over: shows the prompt while the rest is loaded.

Keys typed from then on stay unchanged in the terminal's buffer, without echo, and prompt_toolkit
finds them there. It sets the same modes itself later, and would restore these at its end; so this
module restores the original modes.
"""

from __future__ import annotations

import os
import termios
from types import TracebackType

from aoshell import interrupts

_IFLAG, _LFLAG, _CC = 0, 3, 6


class Terminal:
    """A context in which the terminal is raw and shows a prompt.

    Args:
        prompt: text to show at once, already clean.
        fd_in, fd_out: the terminal.
    """

    def __init__(self, prompt: str, fd_in: int = 0, fd_out: int = 1) -> None:
        self._prompt, self._in, self._out = prompt, fd_in, fd_out
        self._modes: list[int | list[bytes | int]] = []

    def __enter__(self) -> Terminal:
        self._modes = termios.tcgetattr(self._in)
        interrupts.call_before_end(self._restore)
        # TCSANOW keeps the keys that were typed already.
        termios.tcsetattr(self._in, termios.TCSANOW, _raw(termios.tcgetattr(self._in)))
        os.write(self._out, b"\r\x1b[J" + self._prompt.encode("utf-8", "replace"))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is not None:
            # The error is shown on the line where the prompt was.
            os.write(self._out, b"\r\x1b[J")
        interrupts.forget_before_end(self._restore)
        self._restore()

    def _restore(self) -> None:
        termios.tcsetattr(self._in, termios.TCSADRAIN, self._modes)


def _raw(modes: list[int | list[bytes | int]]) -> list[int | list[bytes | int]]:
    """Terminal modes in which each key arrives unchanged; output modes stay."""
    iflag, lflag, cc = modes[_IFLAG], modes[_LFLAG], modes[_CC]
    assert isinstance(iflag, int) and isinstance(lflag, int) and isinstance(cc, list)
    flow = termios.IXON | termios.IXOFF
    modes[_IFLAG] = iflag & ~(flow | termios.ICRNL | termios.INLCR | termios.IGNCR)
    modes[_LFLAG] = lflag & ~(termios.ECHO | termios.ICANON | termios.IEXTEN | termios.ISIG)
    cc[termios.VMIN] = 1
    return modes
