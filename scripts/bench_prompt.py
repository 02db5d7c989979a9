"""The section "prompt" of `bench.py`: keys, the menu, and typing while many messages come.

The history has 10,000 lines, and the process 5,000 names. A time runs from the byte that the
keyboard sends to the first byte that the terminal has to draw.
"""

from __future__ import annotations

import os
import select
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

HISTORY, NAMES, FLOOD = 10_000, 5_000, 8_000
LINE = 'Send({ Target = ao.id, Action = "Transfer", Quantity = tostring(7 * 6) })'
# A process that sends messages to itself, and a handler that prints each: faster than one can read.
NOTED = 'Handlers.add("Note", "Note", function(msg) print("note " .. msg.Data) end)'
STORM = f'for i = 1, {FLOOD} do Send({{Target = ao.id, Action = "Note", Data = tostring(i)}}) end'
TYPED = "'QWZJKYVGHUPFMCXB'"  # letters that nothing else on the screen has
_GAP = 0.03  # seconds between two keys of a fast typist


def prompt(
    folder: Path,
    terminal: Callable[[Path], Any],
    summary: Callable[[list[float]], dict[str, float]],
) -> dict[str, Any]:
    """The section of `bench.py`.

    Args:
        terminal: opens the shell on a home (`bench.Terminal`).
    """
    home = folder / "prompt"
    first = terminal(home)
    first.type(f"for i = 1, {NAMES} do _G['name_' .. i] = i end return 'filled'\r")
    first.until(b"filled")
    first.type(f"{NOTED} return 'added'\r")
    first.until(b"added")
    first.close()
    _fill_history(home)
    shell = terminal(home)
    shell.until(b"> ")
    shell.quiet(2.0)
    report = {"key_to_screen": summary(_keys(shell, LINE * 2))}
    shell.type("\x03")
    shell.quiet()
    report["menu"] = summary([_menu(shell, begin) for begin in ("name", "Handlers.", "na", "ao.")])
    report["history_search"] = summary(_search(shell))
    report["flooded_key_to_screen"] = summary(_flooded(shell))
    shell.close()
    return report


def _fill_history(home: Path) -> None:
    head = "\n# 2024-01-01 00:00:00\n+"
    entries = (f'{head}Balance = {i} + tonumber("{i}")\n' for i in range(HISTORY))
    with (home / "state" / "history").open("a") as file:
        file.writelines(entries)


def _keys(shell: Any, text: str) -> list[float]:
    times = []
    for key in text:
        times.append(_timed(shell, key))
        shell.quiet(_GAP)
    return times


def _timed(shell: Any, keys: str) -> float:
    """Seconds from keys to the first byte that is drawn."""
    start = time.perf_counter()
    shell.type(keys)
    if not select.select([shell.fd], [], [], 10)[0]:
        raise TimeoutError(f"{keys!r} draws nothing")
    end = time.perf_counter()
    os.read(shell.fd, 65536)
    return end - start


def _menu(shell: Any, begin: str) -> float:
    _keys(shell, begin)
    seconds = _timed(shell, "\t")
    shell.quiet()
    shell.type("\x03")
    shell.quiet()
    return seconds


def _search(shell: Any) -> list[float]:
    shell.type("\x12")
    shell.quiet()
    times = _keys(shell, "balance 77 none")
    shell.type("\x03")
    shell.quiet()
    return times


def _flooded(shell: Any) -> list[float]:
    """Type while messages come. In the end the line must have all of the keys."""
    _keys(shell, STORM)
    shell.type("\r")
    times = []
    for key in TYPED:
        start = time.perf_counter()
        shell.type(key)
        times.append(shell.until(key.encode()) - start)
        time.sleep(_GAP)
    while shell.fd in select.select([shell.fd], [], [], 3.0)[0]:
        os.read(shell.fd, 65536)
    shell.type("\r")
    shell.until(TYPED.strip("'").encode())
    return times
