"""The entry point. It imports next to nothing before Ctrl-C is handled (`interrupts`)."""

from __future__ import annotations

import signal
from typing import NoReturn


def main() -> NoReturn:
    """Run the command that was typed, and end with its exit code."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from aoshell import interrupts

    interrupts.end_on_ctrl_c()
    from aoshell.cli import main as run

    try:
        code = run()
    except KeyboardInterrupt:  # while an error was written
        code = interrupts.INTERRUPTED
    interrupts.leave(code)
