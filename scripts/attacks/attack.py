"""An attack, what it must not get beyond, and whether it did."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from attacks.place import Place, Ran

BROKEN = re.compile(r"Traceback \(most recent|a defect of the shell|node\.db is damaged|Aborted")


@dataclass(frozen=True)
class Bound:
    """What holds of the shell under attack.

    Attributes:
        seconds: until it has ended.
        megabytes: that any one process of it takes, the shell or a worker.
        says: a pattern that stands in what it writes: the bound that was met, by name.
        answers: it goes on: the line behind the attack is answered.
    """

    seconds: float = 20
    megabytes: int = 400
    says: str = ""
    answers: bool = True

    def __str__(self) -> str:
        goes_on = ", goes on" if self.answers else ""
        return f"{self.seconds:g} s, {self.megabytes} MB{goes_on}"

    def passed(self, ran: Ran) -> list[str]:
        """What does not hold."""
        said = ran.out + ran.err
        found = []
        if ran.killed:
            found.append(f"no end within {ran.seconds:.0f} s")
        elif ran.seconds > self.seconds:
            found.append(f"took {ran.seconds:.1f} s")
        if ran.megabytes > self.megabytes:
            found.append(f"took {ran.megabytes} MB")
        if broken := BROKEN.search(said):
            found.append(f"says {broken[0]!r}")
        if not ran.killed and ran.code < 0:
            found.append(f"ended by signal {-ran.code}")
        if self.says and not re.search(self.says, said):
            found.append(f"does not say {self.says!r}, but {said[-120:]!r}")
        if self.answers and ran.out.split()[-1:] != ["42"]:
            found.append("the next line was not answered")
        return found + ran.problems


@dataclass(frozen=True)
class Attack:
    """One attack.

    Attributes:
        run: does it, and says what came of it.
    """

    name: str
    bound: Bound
    run: Callable[[Place], Ran]
