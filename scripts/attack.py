"""Attacks the shell: by peers, files, guests, and kills at any moment. See docs/attack.md.

Each attack has a fresh home. Prints a table of attacks, their bounds and results. The exit code
is 1 if an attack exceeded its bound.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

from attacks import clients, files, forked, guests, kills, liars, moments, peers
from attacks.attack import Attack
from attacks.place import Place

from aoshell.home.wallets import ensure_wallet

ATTACKS: list[Attack] = [
    attack
    for room in (peers, clients, liars, forked, files, guests, kills, moments)
    for attack in room.ATTACKS
]
SHORT = (  # of each kind, the attack that did most harm before there was a bound
    "peer: 1 GB in 1 MB of gzip",
    "peer: gzip in gzip",
    "peer: 48 MB of [],[],…",
    "peer: 100 Continue without end",
    "client: 40 bodies of 16 MB",
    "liar: results signed by another key",
    "liar: an answer of before",
    "liar: a 500 that nobody signed",
    "file: import: 3 GB of zeros",
    "file: import: an environment that loops",
    "file: load: a pipe",
    "file: a line of 300 MB on standard input",
    "lua: a loop behind pcall",
    "lua: memory by tables",
    "lua: sends without end",
    "wasm: tables",
    "wasm: writes of the same bytes over and over",
    "kill -9 at 3 moments",
    "ulimit -v 60000",
    "ulimit -n 20",
)
MARGIN = 20  # seconds above its bound until a shell is killed


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
        if (attack.name in SHORT or not given.short)
        and (not given.words or any(word in attack.name for word in given.words))
    ]
    width = max(len(attack.name) for attack in ATTACKS)
    print(f"{'ATTACK':{width}}  {'BOUND':24}  SEEN", flush=True)
    through = 0
    with tempfile.TemporaryDirectory(prefix="aoshell-attack-") as folder:
        wallet = Path(folder) / "wallet.json"
        ensure_wallet(wallet)
        for number, attack in enumerate(chosen):
            place = Path(folder) / str(number)
            ran = attack.run(Place(place, wallet, attack.bound.seconds + MARGIN))
            shutil.rmtree(place, ignore_errors=True)
            problems = attack.bound.passed(ran)
            through += bool(problems)
            seen = f"FAILED: {'; '.join(problems)}" if problems else "held"
            outcome = f"{ran.seconds:5.1f} s {ran.megabytes:5} MB  {seen}"
            print(f"{attack.name:{width}}  {attack.bound!s:24}  {outcome}", flush=True)
    print(f"{len(chosen)} attacks, {through} got beyond a bound")
    return 1 if through or not chosen else 0


if __name__ == "__main__":
    sys.exit(main())
