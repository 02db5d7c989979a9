"""The pictures in docs/screens hold what a run shows, but for ids and times."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from documented import PAGES, REPO, by_form

from aoshell.protocol.wallet import Wallet

sys.path.append(str(REPO / "scripts"))

from pictures.running import lines, run
from pictures.scenes import SCENES, Scene
from pictures.svg import GROUND, PALETTE, Cell, Look, draw, text_of
from screens import FOLDER, path_of, shown_in


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.name)
def test_a_picture_holds_what_a_run_shows(scene: Scene, tmp_path: Path, wallet: Wallet) -> None:
    """`scripts/screens` draws them anew."""
    rows = run(scene, tmp_path / "home", wallet.jwk())
    assert shown_in(path_of(scene)) == by_form("\n".join(lines(rows)))


def test_each_picture_has_a_scene_and_a_page() -> None:
    drawn = {path.stem for path in FOLDER.glob("*.svg")}
    shown = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    named = set(re.findall(r"\(?screens/([\w-]+)\.svg", shown))
    assert drawn == named == {scene.name for scene in SCENES}


def cells(text: str, look: Look) -> list[Cell]:
    return [Cell(character, look) for character in text]


def test_a_picture_gives_its_text_back() -> None:
    plain = Look(PALETTE["default"], "", False, False, False)
    red = Look(PALETTE["red"], "#000000", True, True, True)
    rows = [
        [*cells("a  <b> & ", plain), *cells(" c…  d", red)],
        cells("   ", plain),
        [*cells("│ ", plain), Cell("語", red), Cell("", red), *cells("x", red)],
    ]
    assert text_of(draw(rows, "<&>")) == ["a  <b> &  c…  d", "", "│ 語x"]


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("name", PALETTE)
def test_colours_can_be_read(name: str) -> None:
    ground, text = sorted((luminance(GROUND), luminance(PALETTE[name])))
    assert (text + 0.05) / (ground + 0.05) >= 4.5
