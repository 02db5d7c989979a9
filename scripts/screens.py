"""Draws docs/screens/*.svg from real runs in a terminal: `scripts/screens [--check] [NAME…]`.

The exit code of --check is 1 if a picture differs from a run.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from documented import by_form
from pictures.running import lines, run
from pictures.scenes import SCENES, Scene
from pictures.svg import Cell, draw, text_of

from aoshell.protocol.wallet import Wallet

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "screens"


def main() -> int:
    parser = argparse.ArgumentParser("scripts/screens", description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="only these")
    parser.add_argument("--check", action="store_true", help="compare only")
    given = parser.parse_args()
    wallet, differ = Wallet.generate().jwk(), 0
    FOLDER.mkdir(exist_ok=True)
    for scene in SCENES:
        if given.names and scene.name not in given.names:
            continue
        with tempfile.TemporaryDirectory(prefix="aoshell-screens-") as home:
            rows = run(scene, Path(home), wallet)
        same = is_shown(scene, rows)
        differ += not same
        if not given.check and not same:
            path_of(scene).write_text(draw(rows, scene.title), encoding="utf-8")
        print(f"{scene.name}: {'as it was' if same else 'differs' if given.check else 'drawn'}")
    return 1 if given.check and differ else 0


def path_of(scene: Scene) -> Path:
    return FOLDER / f"{scene.name}.svg"


def is_shown(scene: Scene, rows: list[list[Cell]]) -> bool:
    """Whether the existing picture shows these rows, apart from ids and times."""
    path = path_of(scene)
    return path.exists() and shown_in(path) == by_form("\n".join(lines(rows)))


def shown_in(path: Path) -> str:
    """The text of a picture, with placeholders for ids and times."""
    shown: str = by_form("\n".join(text_of(path.read_text(encoding="utf-8"))))
    return shown


if __name__ == "__main__":
    sys.exit(main())
