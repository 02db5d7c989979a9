"""`[shell]` of the config file, themes, the toolbar's text, and folded pastes."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aoshell.errors import AoError
from aoshell.home.configfile import line_of
from aoshell.home.endpoints import resolve_endpoints
from aoshell.nodes.values import NodeInfo, ProcessInfo, Receipt
from aoshell.protocol.message import Result
from aoshell.shell.outcome import Interrupted, LineAnswer
from aoshell.shell.prompt.config import Preferences, load_preferences
from aoshell.shell.prompt.pastes import FOLDED, Pastes
from aoshell.shell.prompt.themes import COLOURS, THEMES, make_style
from aoshell.shell.prompt.toolbar import ToolbarFacts, cut, line
from aoshell.shell.view.text import width_of


def written(folder: Path, content: str) -> Path:
    path = folder / "config.toml"
    path.write_text(content)
    return path


def test_no_file_and_no_table_are_the_defaults(tmp_path: Path) -> None:
    assert load_preferences(tmp_path / "none.toml") == Preferences()
    assert load_preferences(written(tmp_path, 'profile = "local"\n')) == Preferences()


def test_all_of_it(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        '[shell]\nediting = "vi"\ntheme = "light"\ntoolbar = false\npager = true\n'
        'colours = { keyword = "ansired bold" }\n',
    )
    assert load_preferences(path) == Preferences(
        "vi", "light", False, True, {"keyword": "ansired bold"}
    )
    assert resolve_endpoints({}, {}, path).kind == "local"  # one file, two readers


@pytest.mark.parametrize(
    ("content", "place", "what"),
    [
        ('\n[shell]\nediting = "vim"', "line 3: [shell] editing", 'cannot be "vim"'),
        ("[shell]\ntoolbar = 1", "line 2: [shell] toolbar", "cannot be 1"),
        ("[shell]\npager = 'yes'", "line 2: [shell] pager", 'cannot be "yes"'),
        ("[shell]\nthems = 'dark'", "line 2: [shell] thems", "not known"),
        ("[shell.colours]\nkeyword = 'pinkish'", "line 2: [shell.colours] keyword", "pinkish"),
        ("[shell.colours]\nkeyword = 7", "line 2: [shell.colours] keyword", "no text"),
        ("[shell.colours]\nframe = 'ansired'", "line 2: [shell.colours] frame", "nothing"),
        ("[shell]\ncolours = 7", "line 2: [shell] colours", "no table"),
        ("shell = 7", "line 1: shell", "no table"),
        ("[shell\n", "line 1", "config.toml"),
        ("[shell]\nx = \xff".encode("latin-1"), "line 2", "UTF-8"),
    ],
)
def test_errors_name_their_line_and_the_default_holds(
    tmp_path: Path, content: str | bytes, place: str, what: str
) -> None:
    path = tmp_path / "config.toml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    found = load_preferences(path)
    assert found.problems and str(path) in found.problems[0]
    assert place in found.problems[0] and what in found.problems[0]
    assert (found.editing, found.theme, found.toolbar, found.pager) == (
        "emacs",
        "auto",
        True,
        False,
    )


def test_what_is_good_counts_beside_what_is_not(tmp_path: Path) -> None:
    found = load_preferences(written(tmp_path, '[shell]\nediting = "vi"\ntheme = "neon"\n'))
    assert (found.editing, found.theme, len(found.problems)) == ("vi", "auto", 1)


def test_other_keys_at_the_top_are_still_refused(tmp_path: Path) -> None:
    with pytest.raises(AoError, match="profil"):
        resolve_endpoints({}, {}, written(tmp_path, 'profil = "x"\n[shell]\n'))


def test_lines_are_found_by_table(tmp_path: Path) -> None:
    path = written(tmp_path, "a = 1\n[x]\na = 2\n[y]\n'a' = 3\n")
    assert [line_of(path, table, "a") for table in ("", "x", "y", "z")] == [1, 3, 5, 0]


def test_themes_colour_everything() -> None:
    for name, colours in THEMES.items():
        assert colours.keys() == COLOURS.keys()
        make_style(name, {"keyword": "#ff8800 bold", "toolbar": "bg:ansiblue"})


BLACK, WHITE = "000000", "ffffff"
GROUNDS = {
    "dark": (BLACK, "1e1e1e", "282c34", "002b36"),  # the last: of Solarized
    "light": (WHITE, "fafafa", "fdf6e3"),
    "both": (BLACK, WHITE),
    "plain": (BLACK, WHITE),
}


def luminance(colour: str) -> float:
    """As WCAG 2.1 defines it, of RRGGBB."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_contrast_is_computed_as_wcag_does() -> None:
    assert contrast(BLACK, WHITE) == pytest.approx(21)
    assert contrast("777777", WHITE) == pytest.approx(4.48, abs=0.01)  # its well-known near miss


@pytest.mark.parametrize("theme", THEMES)
def test_every_style_can_be_read(theme: str) -> None:
    """The dark theme's colours were those of the terminal's palette, whatever these are."""
    style = make_style(theme, {})
    for name, classes in COLOURS.items():
        for drawn in classes:
            attrs = style.get_attrs_for_style_str(f"class:{drawn}")
            for ground in GROUNDS[theme]:
                front, back = attrs.color or "", attrs.bgcolor or ground
                # Without a colour it is the terminal's own text, also where it is reversed.
                assert not front or contrast(front, back) >= 4.5, (theme, name, ground)
            if attrs.color:  # drawn as it is where a terminal has 256 colours
                rgb = tuple(int(attrs.color[at : at + 2], 16) for at in (0, 2, 4))
                assert set(rgb) <= {0, 95, 135, 175, 215, 255} or len(set(rgb)) == 1


@pytest.mark.parametrize(
    ("told", "theme"),
    [("15;0", "dark"), ("0;15", "light"), ("0;default;7", "light"), ("", "both"), ("x", "both")],
)
def test_the_ground_that_a_terminal_tells(
    told: str, theme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLORFGBG", told)
    shown = [
        make_style(name, {}).get_attrs_for_style_str("class:toolbar") for name in ("auto", theme)
    ]
    assert shown[0] == shown[1]


def test_the_toolbar_tells_what_is_known() -> None:
    assert line(ToolbarFacts(), "aos> ", 80) == ""
    node = NodeInfo("hyperbeam", "", "https://node.example")
    facts = ToolbarFacts(node, "desk", "w" * 43, "alice", 7, 1.25, 99)
    said = line(facts, "me@aos-2.0.4[Inbox:\x1b[31m3\x1b[0m]> ", 120, "INSERT")
    assert said == (
        "INSERT · hyperbeam https://node.example · desk · alice (wwwwwwww…) · slot 7 · inbox 3"
        " · 1.2 ms · 99 gas"
    )
    assert line(ToolbarFacts(process="a\x1b]0;x\x07b\n"), "> ", 80) == "a\\x1b]0;x\\x07b\\n"


def test_the_slot_is_that_of_the_attached_process() -> None:
    def answer(process: str, slot: int) -> LineAnswer:
        result = Result(process, slot, 0, "ok", "", "", "", (), (), False, False, 0.0, 0)
        return LineAnswer(Receipt("m", process, slot), result)

    def process(id: str, name: str, slots: int = 1) -> ProcessInfo:
        return ProcessInfo(id, name, "o", "m", slots, slots, False, None, 0, 0, 0, "", 0)

    one = process("p", "one")
    facts = ToolbarFacts()
    facts.attach(one)
    facts.learn(answer("p", 7))
    assert line(facts, "> ", 80).startswith("one (p) · slot 7")
    facts.learn(answer("q", 3))  # as `.send` to another one
    facts.attach(one)
    assert facts.slot == 7
    facts.learn(Interrupted(Receipt("m", "p", 8)))  # given up, and perhaps stopped
    assert line(facts, "> ", 80) == "one (p) · slot 8"
    facts.learn(Interrupted(None))
    facts.learn(Interrupted(Receipt("m", "q", 9)))
    assert facts.slot == 8
    facts.attach(process("q", "two"))
    assert "slot" not in line(facts, "> ", 80)
    facts.learn(answer("q", 4))
    assert line(facts, "> ", 80).startswith("two (q) · slot 4")
    facts.attach(process("q", "two", 5))  # attached again, or `.undo` of another slot
    assert facts.slot == 4
    facts.attach(process("q", "two", 4))  # `.undo` took it back
    assert line(facts, "> ", 80) == "two (q)"


@given(st.text(), st.integers(0, 40))
def test_cut_fits(said: str, columns: int) -> None:
    assert width_of(cut(said, columns)) <= max(columns, 0)
    assert said.startswith(cut(said, columns))


def test_large_pastes_are_folded() -> None:
    pastes = Pastes()
    assert pastes.fold("a\r\nb\rc") == "a\nb\nc"
    first, second = pastes.fold("x" * FOLDED), pastes.fold("y\n" * 300)
    assert "8000 characters" in first and "301 lines" in second
    whole = "f(" + "x" * FOLDED + ", " + "y\n" * 300 + ")"
    assert pastes.unfold(f"f({first}, {second})") == whole
    foreign = "⟦paste 9: 1 lines, 1 characters⟧"
    assert pastes.unfold(foreign) == foreign
    pastes.clear()
    assert pastes.unfold(first) == first
