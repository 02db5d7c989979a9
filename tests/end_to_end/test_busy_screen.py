"""Silence and waiting in a true terminal: what stands on the screen."""

from __future__ import annotations

import signal

from test_prompt_screen import Open, terminal

__all__ = ["terminal"]  # the fixture

CTRL_C = "\x03"


def test_what_came_to_nothing_is_on_the_screen(terminal: Open) -> None:
    shell = terminal()
    for line, shown in (
        ("nil", "^nil$"),
        ('Balances = { alice = 1 } return ""', '^""$'),
        ('pcall(error, "no", 0)', '^false, "no"$'),
        ("Balanecs", r"^  → Balanecs is not defined: did you mean Balances\?$"),
        ("send({ Target = ao.id })", r"^  → send is not defined: did you mean Send\?$"),
        ("x != 1", "^  → Lua writes ~= for not equal$"),
        ("=6*7+1", "^43$"),
        ("? Receive", r"^Receive\("),
    ):
        shell.type(f"{line}\r")
        shell.shows(shown)
    before = len(shell.said)
    shell.type("x = 1\r")
    shell.shows("> x = 1$")
    shell.shows("]>$")
    assert len(shell.said) <= before + 1
    shell.type("quit\r")
    shell.ended()


def test_a_line_that_waits_for_ever(terminal: Open) -> None:
    shell = terminal()
    shell.type('Receive({ Action = "Never" })\r')
    shell.shows(r"^· slot 2 of default waits for a message  ")
    shell.type("x = 5\rx\r")
    shell.shows(r"waits for a message  \S+ s · 2 lines wait behind it, first x = 5$")
    shell.type(".waits\r")
    shell.shows("Action = Never")
    shell.shows(r"· 2 lines wait behind it, first x = 5$")  # they still do
    shell.type(CTRL_C)
    shell.shows("^No longer waiting for slot 2; it waits on for a message")
    shell.shows("^2 lines wait: Enter on an empty line runs them, Ctrl-C drops them$")
    shell.type("\r")
    shell.shows("^5$")
    shell.shows("]>$")
    assert not any("lines wait" in line for line in shell.lines)


def test_a_loop_is_read_beside_given_up_and_stopped(terminal: Open) -> None:
    shell = terminal()
    shell.type(".limits seconds 600\r")
    shell.shows("^seconds +600")
    shell.type("while true do end\r")
    shell.shows(r"^· slot 2 of default is computed  ")
    shell.type(".messages\r")
    shell.shows(r"^ +2 +Eval")
    shell.type(".dryrun 20 + 3\r")
    shell.shows("^as it was before slot 2, which is being computed:$")
    shell.shows("^23$")
    for number in range(10):  # one by one: lines that come at once are one paste
        shell.type(f"y{number} = {number}\r")
        count = "1 line waits" if number == 0 else f"{number + 1} lines wait"
        shell.shows(f"{count} behind it, first y0 = 0$")
    shell.type(CTRL_C)
    shell.shows("^  … 2 more$")
    shell.shows("^10 lines wait: Enter")
    shell.type(CTRL_C)
    shell.shows("^10 lines were not run; .* Ctrl-C again stops what was given up.$")
    shell.type(CTRL_C)
    shell.shows("^Stopped.$")
    shell.type("1 + 2\r")
    shell.shows("^3$")


def test_what_a_line_waits_for_is_named_and_stopped(terminal: Open) -> None:
    """Stopping the line alone leaves its process busy, so "Stopped." would be false."""
    shell = terminal()
    shell.type(".limits seconds 600\r")
    shell.shows("^seconds +600")
    shell.type('Handlers.add("Loop", "Loop", function() while true do end end); return "added"\r')
    shell.shows("^added$")
    shell.type('Send({ Target = ao.id, Action = "Loop" }); return "sent"\r')
    shell.shows("^sent$")
    shell.type("1 + 1\r")
    shell.shows(r"slot 5 of default waits for slot 4  ")
    shell.type(CTRL_C)
    shell.shows("^No longer waiting for slot 5")
    shell.type(CTRL_C)
    shell.shows(
        "^Slot 5 will not run. default still computes slot 4, which is before it: Ctrl-C again"
    )
    shell.type(CTRL_C)
    shell.shows("^Stopped.$")
    shell.type("1 + 2\r")
    shell.shows("^3$")


def test_a_kill_loses_no_line_that_waited(terminal: Open) -> None:
    shell = terminal()
    shell.type('Receive({ Action = "Never" })\r')
    shell.shows(r"^· slot 2 of default waits")
    shell.type("Kept = 17\r")
    shell.shows("1 line waits behind it, first Kept = 17$")
    shell.child.kill(signal.SIGKILL)
    again = terminal()
    again.type("\x1b[A\x1b[A\r")  # the fixture's own line is the newest
    again.shows("> Kept = 17$")
    again.type("Kept\r")
    again.shows("^17$")
