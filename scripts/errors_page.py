"""Writes the tables of docs/errors.md from the code: `.venv/bin/python scripts/errors_page.py`.

It reads the source and runs none of it. tests/test_errors_page.py compares the page with it.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

REPO = Path(__file__).resolve().parents[1]
PAGE = REPO / "docs" / "errors.md"
ROOT = "AoError"
MISUSED = "UsageError"  # its exit code is 2
# Functions whose first argument is the name of a stage, though no parameter of theirs is `stage`.
SHOWING = frozenset({"during", "pass_through", "seen"})


class Source(NamedTuple):
    """A file of the package: its module's name, and its syntax tree."""

    module: str
    tree: ast.Module


class Error(NamedTuple):
    """A class of errors.

    Attributes:
        line: it and the classes above it.
        stage: that each of them has, "" where whoever raises it says which.
        when: first paragraph of its docstring.
    """

    name: str
    module: str
    line: tuple[str, ...]
    stage: str
    when: str

    @property
    def exit_code(self) -> int:
        return 2 if MISUSED in self.line else 1


def sources() -> list[Source]:
    """All files of the package, in the order of their names."""
    files = sorted((REPO / "aoshell").rglob("*.py"))
    return [
        Source(
            ".".join(path.relative_to(REPO).with_suffix("").parts).removesuffix(".__init__"),
            ast.parse(path.read_text(encoding="utf-8")),
        )
        for path in files
    ]


# Classes -----------------------------------------------------------------------------------------


def errors(files: list[Source]) -> list[Error]:
    """`ROOT` and all classes below it, those of one module together."""
    classes = {
        node.name: (file.module, node)
        for file in files
        for node in ast.walk(file.tree)
        if isinstance(node, ast.ClassDef)
    }
    found = []
    for name, (module, node) in classes.items():
        line = list(_line(name, classes))
        if ROOT in line:
            stages = (_stage(classes[above][1]) for above in line if above in classes)
            paragraph = (ast.get_docstring(node) or "").partition("\n\n")[0]
            when = " ".join(paragraph.split())
            found.append(Error(name, module, tuple(line), next(filter(None, stages), ""), when))
    return sorted(
        found, key=lambda one: (one.module != "aoshell.errors", one.module, len(one.line))
    )


def _line(name: str, classes: dict[str, tuple[str, ast.ClassDef]]) -> Iterator[str]:
    """A class and those above it."""
    yield name
    for base in classes[name][1].bases if name in classes else ():
        yield from _line(ast.unparse(base).rpartition(".")[2], classes)


def _stage(node: ast.ClassDef) -> str:
    """The stage that the class gives to each of its errors, or ""."""
    keywords = [
        one for call in ast.walk(node) if isinstance(call, ast.Call) for one in call.keywords
    ]
    stages = {
        str(ast.literal_eval(one.value))
        for one in keywords
        if one.arg == "stage" and isinstance(one.value, ast.Constant)
    }
    return stages.pop() if len(stages) == 1 else ""


# Stages ------------------------------------------------------------------------------------------


class Taking(NamedTuple):
    """A function or class with a parameter `stage`.

    Attributes:
        place: of the parameter in a call.
        awaited: its calls are awaited: `client.get("compute", …)` is one, `tags.get("compute")` is
            not.
        within: the beginning of the modules that call it: its own module for a private name, its
            room for a method; "" for all.
    """

    name: str
    place: int
    awaited: bool = False
    within: str = ""


def used_stages(files: list[Source]) -> dict[str, set[str]]:
    """Each stage that the code names, with the modules that do."""
    taking = [Taking(name, 0) for name in SHOWING]
    taking += [one for file in files for one in _taking_stage(file)]
    used: dict[str, set[str]] = {}
    for file in files:
        here = {one.name: one for one in taking if file.module.startswith(one.within)}
        awaited = {id(node.value) for node in ast.walk(file.tree) if isinstance(node, ast.Await)}
        for function, call in _calls(file.tree):
            for value in _stage_values(call, here, id(call) in awaited):
                for stage in _constants(value, function):
                    used.setdefault(stage, set()).add(file.module)
        for node in ast.walk(file.tree):
            if isinstance(node, ast.Dict):  # a line's values in JSON
                for stage in _stages_of(node):
                    used.setdefault(stage, set()).add(file.module)
    return used


def _stages_of(values: ast.Dict) -> Iterator[str]:
    for key, value in zip(values.keys, values.values, strict=True):
        if (
            isinstance(key, ast.Constant)
            and key.value == "stage"
            and isinstance(value, ast.Constant)
        ):
            yield str(value.value)


def _taking_stage(file: Source) -> Iterator[Taking]:
    for node in ast.walk(file.tree):
        within = ""
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            names = [one.arg for one in node.args.args]
            if names[:1] == ["self"]:
                del names[0]
                within = ".".join(file.module.split(".")[:2])
        elif isinstance(node, ast.ClassDef) and node.decorator_list:  # a dataclass
            fields = [one.target for one in node.body if isinstance(one, ast.AnnAssign)]
            names = [one.id for one in fields if isinstance(one, ast.Name)]
        else:
            continue
        if node.name.startswith("_"):
            within = file.module
        if "stage" in names:
            awaited = isinstance(node, ast.AsyncFunctionDef)
            yield Taking(node.name, names.index("stage"), awaited, within)


def _calls(tree: ast.Module) -> Iterator[tuple[ast.AST, ast.Call]]:
    """All calls, each with the function, or the module, that it stands in."""
    left: list[tuple[ast.AST, ast.AST]] = [(tree, tree)]
    while left:
        around, node = left.pop()
        inner = node if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) else around
        if isinstance(node, ast.Call):
            yield around, node
        left += [(inner, child) for child in ast.iter_child_nodes(node)]


def _stage_values(call: ast.Call, taking: dict[str, Taking], awaited: bool) -> Iterator[ast.expr]:
    yield from (keyword.value for keyword in call.keywords if keyword.arg == "stage")
    found = taking.get(ast.unparse(call.func).rpartition(".")[2])
    if found and found.place < len(call.args) and (awaited or not found.awaited):
        yield call.args[found.place]


def _constants(value: ast.expr, function: ast.AST) -> Iterator[str]:
    """The texts that a stage may be: its own, or those that its variable is set to."""
    if isinstance(value, ast.Constant) and isinstance(value.value, str):
        yield value.value
    elif isinstance(value, ast.IfExp):
        yield from _constants(value.body, function)
        yield from _constants(value.orelse, function)
    elif isinstance(value, ast.Name):
        for node in ast.walk(function):
            if isinstance(node, ast.Assign):
                yield from _assigned(node, value.id)


def _assigned(node: ast.Assign, name: str) -> Iterator[str]:
    for target in node.targets:
        pairs = [(target, node.value)]
        if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
            pairs = list(zip(target.elts, node.value.elts, strict=True))
        for left, right in pairs:
            is_text = isinstance(right, ast.Constant) and isinstance(right.value, str)
            if is_text and ast.unparse(left) == name:
                yield str(ast.literal_eval(right))


# The page ----------------------------------------------------------------------------------------


def tables(files: list[Source], meanings: dict[str, str]) -> dict[str, list[str]]:
    """The lines of the page's tables, by the name of each."""
    return {
        "stages": [
            "| stage | what failed |",
            "|---|---|",
            *(f"| `{stage}` | {meanings[stage]} |" for stage in sorted(meanings, key=str.lower)),
        ],
        "classes": [
            "| class | module | raised when | stage | exit code |",
            "|---|---|---|---|---|",
            *map(_row, errors(files)),
        ],
    }


def _row(error: Error) -> str:
    stage = f"`{error.stage}`" if error.stage else "as raised"
    cells = (f"`{error.name}`", f"`{error.module}`", error.when, stage, str(error.exit_code))
    return f"| {' | '.join(cells)} |"


def written(page: str, made: dict[str, list[str]]) -> str:
    """The page with its tables made anew: each stands between `<!-- NAME -->` and `<!-- end -->`.

    Raises:
        ValueError: it has no place for one of them.
    """
    for name, lines in made.items():
        before, found, rest = page.partition(f"<!-- {name} -->\n")
        _, ended, after = rest.partition("<!-- end -->\n")
        if not found or not ended:
            raise ValueError(f"the page has no place for {name}")
        page = f"{before}{found}" + "\n".join(["", *lines, "", ""]) + f"{ended}{after}"
    return page


if __name__ == "__main__":
    sys.path.insert(0, str(REPO))
    from aoshell.errors import STAGES

    text = written(PAGE.read_text(encoding="utf-8"), tables(sources(), dict(STAGES)))
    PAGE.write_text(text, encoding="utf-8")
