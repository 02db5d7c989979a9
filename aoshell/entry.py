"""The entry point. It imports next to nothing before Ctrl-C is handled (`interrupts`)."""

from __future__ import annotations

# `signal` and `typing` import more than all of this.
import _signal  # type: ignore[import-not-found]
import gc

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

# Thresholds of the garbage collector; 700, 10, 10 by default. Neither imports nor messages leave
# cycles. By default Python would collect 60 times at a start, a tenth of its time, and use 40 of
# the 200 us that the shell needs for a message between processes. A start makes fewer objects than
# the first threshold, so no collection runs before the first line.
COLLECT = 100_000, 20, 20


def main() -> NoReturn:
    """Run the command that was typed, and exit with its code."""
    gc.set_threshold(*COLLECT)
    if _signal.getsignal(_signal.SIGINT) is _signal.default_int_handler:
        _signal.signal(_signal.SIGINT, _signal.SIG_DFL)
    from aoshell import interrupts

    interrupts.end_on_ctrl_c()
    from aoshell.cli import main as run

    try:
        code = run()
    except KeyboardInterrupt:  # while an error was written
        code = interrupts.INTERRUPTED
    interrupts.leave(code)
