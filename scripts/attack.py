"""Runs hostile peers, files, guests and moments against a fresh home; docs/attack.md.

Prints a table: attack, bound, what was seen. The exit code is 1 if a bound was passed.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from attacks import files, guests, kills, peers
from attacks.attack import Attack
from attacks.place import Place

ATTACKS: list[Attack] = [*peers.ATTACKS, *files.ATTACKS, *guests.ATTACKS, *kills.ATTACKS]
MARGIN = 20  # seconds beyond its bound before a shell is killed


def main() -> int:
    parser = argparse.ArgumentParser("scripts/attack", description=__doc__.splitlines()[0])
    parser.add_argument(
        "words", nargs="*", metavar="WORD", help="only attacks with it in their name"
    )
    parser.add_argument("--short", action="store_true", help="the quick ones")
    given = parser.parse_args()
    chosen = [
        attack
        for attack in ATTACKS
        if (attack.short or not given.short)
        and (not given.words or any(word in attack.name for word in given.words))
    ]
    width = max(len(attack.name) for attack in ATTACKS)
    print(f"{'ATTACK':{width}}  {'BOUND':24}  SEEN", flush=True)
    passed = 0
    with tempfile.TemporaryDirectory(prefix="aoshell-attack-") as folder:
        place = Place(Path(folder))
        for attack in chosen:
            place.patience = attack.bound.seconds + MARGIN
            ran = attack.run(place)
            problems = attack.bound.passed(ran)
            passed += bool(problems)
            seen = f"PASSED: {'; '.join(problems)}" if problems else "held"
            said = f"{ran.seconds:5.1f} s {ran.megabytes:5} MB  {seen}"
            print(f"{attack.name:{width}}  {attack.bound!s:24}  {said}", flush=True)
    print(f"{len(chosen)} attacks, {passed} passed a bound")
    return 1 if passed or not chosen else 0


if __name__ == "__main__":
    sys.exit(main())
