"""Coverage as one page of HTML. It has no scripts and loads nothing."""

from __future__ import annotations

import html
from collections.abc import Iterable, Iterator, Sequence

from aoshell.shell.view.text import clean
from aoshell.testing.coverage.tables import unit_name, untaken
from aoshell.testing.coverage.totals import FileTotal, Unit

_STYLE = """
:root { color-scheme: light dark; --line: #d0d7de; --dim: #57606a; --bad: #ffd7d5; --part: #fff1c2;
  --good: #d3f2da; --ink: #1f2328; --ground: #ffffff; --link: #0550ae; }
@media (prefers-color-scheme: dark) { :root { --line: #3d444d; --dim: #9da7b1; --bad: #5c1f24;
  --part: #51420f; --good: #123d20; --ink: #e6edf3; --ground: #0d1117; --link: #79b8ff; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--ground);
  max-width: 70rem; margin: 2rem auto; padding: 0 1rem; }
a { color: var(--link); }
table { border-collapse: collapse; width: 100%; margin: 0.5rem 0 1.5rem; }
th, td { text-align: left; padding: 0.2rem 0.6rem; border-bottom: 1px solid var(--line); }
td.number, th.number { text-align: right; white-space: nowrap; }
ol.code { font: 13px/1.45 ui-monospace, monospace; list-style: none; padding: 0;
  border: 1px solid var(--line); overflow-x: auto; }
ol.code li { white-space: pre; padding: 0 0.6rem; tab-size: 4; }
ol.code .n { display: inline-block; width: 4em; color: var(--dim); user-select: none; }
ol.code .t { display: inline-block; width: 5em; color: var(--dim); user-select: none; }
.no { background: var(--bad); } .part { background: var(--part); } .yes { background: var(--good); }
.note, .dim { color: var(--dim); }
"""


def page(files: Sequence[FileTotal], notes: Iterable[str]) -> str:
    """The page: files and handlers that ran least come first."""
    worst = sorted(enumerate(files), key=lambda item: (item[1].whole.share, item[1].path))
    parts = [
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">',
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; style-src 'unsafe-inline'\">",
        '<meta name="viewport" content="width=device-width">',
        f"<title>Coverage of handlers</title><style>{_STYLE}</style></head><body>",
        "<h1>Coverage of handlers</h1>",
        *_summary(worst),
        *(f'<p class="note">{_safe(note)}</p>' for note in notes),
        *(part for number, file in worst for part in _file(number, file)),
        "</body></html>\n",
    ]
    return "\n".join(parts)


def _safe(text: str) -> str:
    """Untrusted text, escaped for a page."""
    return html.escape(clean(text, colour=False))


def _summary(files: Iterable[tuple[int, FileTotal]]) -> Iterator[str]:
    yield "<table><thead><tr><th>File</th>" + _HEAD + "</tr></thead><tbody>"
    for number, file in files:
        link = f'<a href="#f{number}">{_safe(file.path)}</a>'
        yield f"<tr><td>{link}</td>{_cells(file.whole)}</tr>"
    yield "</tbody></table>"


_HEAD = '<th class="number">Lines run</th><th class="number">Branches taken</th>'


def _cells(unit: Unit) -> str:
    lines = f"{unit.ran} of {len(unit.lines)}"
    branches = f"{unit.taken} of {unit.ways}" if unit.ways else "–"
    return f'<td class="number">{lines}</td><td class="number">{branches}</td>'


def _file(number: int, file: FileTotal) -> Iterator[str]:
    yield f'<h2 id="f{number}">{_safe(file.path)}</h2>'
    units = [unit for unit in file.units if unit.handler or unit.share < 1]
    if units:
        yield f"<table><thead><tr><th>Handler</th>{_HEAD}<th>Not run</th></tr></thead><tbody>"
        for unit in sorted(units, key=lambda unit: (unit.share, unit.first)):
            name = f'<a href="#f{number}-{unit.first}">{_safe(unit_name(unit))}</a>'
            yield f"<tr><td>{name}</td>{_cells(unit)}<td>{_missing(number, unit)}</td></tr>"
        yield "</tbody></table>"
    yield '<ol class="code">'
    partly = {branch.line for branch in file.whole.branches if branch.taken < len(branch.ways)}
    never = {line: text for unit in (file.whole,) for line, text in _ways(unit)}
    for line, text in enumerate(file.source, 1):
        times = file.whole.lines.get(line)
        mark = "" if times is None else "no" if not times else "part" if line in partly else "yes"
        count = "" if times is None else f"{times}×"
        title = f' title="{html.escape(never[line])}"' if line in never else ""
        yield (
            f'<li id="f{number}-{line}" class="{mark}"{title}><span class="n">{line}</span>'
            f'<span class="t">{count}</span>{_safe(text)}</li>'
        )
    yield "</ol>"


def _missing(number: int, unit: Unit) -> str:
    links = [f'<a href="#f{number}-{line}">{line}</a>' for line in unit.missing]
    ways = [html.escape(text) for text in untaken(unit)]
    return "; ".join([*([", ".join(links)] if links else []), *ways])


def _ways(unit: Unit) -> Iterator[tuple[int, str]]:
    for branch in unit.branches:
        never = [str(to) for to, times in branch.ways.items() if not times]
        if branch.taken and never:
            yield branch.line, f"never went on to {', '.join(never)}"
