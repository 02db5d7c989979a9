"""An attack and its bound."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from attacks.place import Place, Ran

BROKEN = re.compile(r"Traceback \(most recent|a defect of the shell|node\.db is damaged|Aborted")


@dataclass(frozen=True)
class Bound:
    """What must be true of the shell under an attack.

    Attributes:
        seconds: it ends within these.
        megabytes: neither the shell nor a worker uses more.
        says: a pattern in its output, which names the bound that was reached.
        answers: whether it goes on, and answers the line after the attack.
    """

    seconds: float = 20
    megabytes: int = 400
    says: str = ""
    answers: bool = True

    def __str__(self) -> str:
        goes_on = ", goes on" if self.answers else ""
        return f"{self.seconds:g} s, {self.megabytes} MB{goes_on}"

    def passed(self, ran: Ran) -> list[str]:
        """What is not true, one text each."""
        output = ran.out + ran.err
        found = []
        if ran.killed:
            found.append(f"no end within {ran.seconds:.0f} s")
        elif ran.seconds > self.seconds:
            found.append(f"took {ran.seconds:.1f} s")
        if ran.megabytes > self.megabytes:
            found.append(f"took {ran.megabytes} MB")
        if broken := BROKEN.search(output):
            found.append(f"says {broken[0]!r}")
        if not ran.killed and ran.code < 0:
            found.append(f"ended by signal {-ran.code}")
        if self.says and not re.search(self.says, output):
            found.append(f"does not say {self.says!r}, but {output[-120:]!r}")
        if self.answers and ran.out.split()[-1:] != ["42"]:
            found.append("the next line was not answered")
        return found + ran.problems


@dataclass(frozen=True)
class Attack:
    """One attack.

    Attributes:
        run: attacks a shell in a place, and returns what happened.
    """

    name: str
    bound: Bound
    run: Callable[[Place], Ran]
