"""docs/errors.md and the set of stages agree with the code."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from aoshell.errors import STAGES

sys.path.append(str(Path(__file__).resolve().parents[1] / "scripts"))

from errors_page import PAGE, Source, errors, sources, tables, written

# Functions whose first argument is the name of a stage, though no parameter of theirs is `stage`.
SHOWING = frozenset({"during", "pass_through", "seen"})


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
    nodes = {file.module: list(_walk(file.tree)) for file in files}
    taking = [Taking(name, 0) for name in SHOWING]
    taking += [one for file in files for one in _taking_stage(file.module, nodes[file.module])]
    used: dict[str, set[str]] = {}
    for file in files:
        here = {one.name: one for one in taking if file.module.startswith(one.within)}
        known = nodes[file.module]
        awaited = {id(one.value) for _, one in known if isinstance(one, ast.Await)}
        for function, node in known:
            found: Iterable[str] = ()
            if isinstance(node, ast.Call):
                values = _stage_values(node, here, id(node) in awaited)
                found = (one for value in values for one in _constants(value, function))
            elif isinstance(node, ast.Dict):  # a line's values in JSON
                found = _stages_of(node)
            for stage in found:
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


def _taking_stage(module: str, nodes: list[tuple[ast.AST, ast.AST]]) -> Iterator[Taking]:
    for _, node in nodes:
        within = ""
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            names = [one.arg for one in node.args.args]
            if names[:1] == ["self"]:
                del names[0]
                within = ".".join(module.split(".")[:2])
        elif isinstance(node, ast.ClassDef) and node.decorator_list:  # a dataclass
            fields = [one.target for one in node.body if isinstance(one, ast.AnnAssign)]
            names = [one.id for one in fields if isinstance(one, ast.Name)]
        else:
            continue
        if node.name.startswith("_"):
            within = module
        if "stage" in names:
            awaited = isinstance(node, ast.AsyncFunctionDef)
            yield Taking(node.name, names.index("stage"), awaited, within)


def _walk(tree: ast.Module) -> Iterator[tuple[ast.AST, ast.AST]]:
    """All nodes, each with the function, or the module, that it stands in."""
    left: list[tuple[ast.AST, ast.AST]] = [(tree, tree)]
    while left:
        around, node = left.pop()
        yield around, node
        if isinstance(node, ast.Name | ast.Constant):
            continue  # these are most nodes, and hold none that is looked for
        inner = node if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) else around
        left += [(inner, child) for child in ast.iter_child_nodes(node)]


def _stage_values(call: ast.Call, taking: dict[str, Taking], awaited: bool) -> Iterator[ast.expr]:
    yield from (keyword.value for keyword in call.keywords if keyword.arg == "stage")
    function = call.func
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    found = taking.get(name)
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


@pytest.fixture(scope="module")
def code() -> list[Source]:
    return sources()


@pytest.fixture(scope="module")
def used(code: list[Source]) -> dict[str, set[str]]:
    return used_stages(code)


def test_each_stage_that_the_code_names_is_in_the_set(used: dict[str, set[str]]) -> None:
    unknown = {stage: where for stage, where in used.items() if stage not in STAGES}
    assert not unknown, "give each a line in STAGES of aoshell/errors.py"


def test_each_stage_of_the_set_is_used(used: dict[str, set[str]]) -> None:
    assert not STAGES.keys() - used


def test_the_page_has_the_tables_of_the_code(code: list[Source]) -> None:
    page = PAGE.read_text(encoding="utf-8")
    made = written(page, tables(code, STAGES))
    assert page == made, "run .venv/bin/python scripts/errors_page.py"


def test_each_class_says_when_it_is_raised(code: list[Source]) -> None:
    assert not [error.name for error in errors(code) if not error.when.endswith(".")]


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("raise AoError('x', stage='a')", {"a"}),
        ("raise AoError('x', stage='a' if y else 'b')", {"a", "b"}),
        ("def f():\n    at = 'a'\n    raise AoError('x', stage=at)", {"a"}),
        ("def f():\n    what, at = 'x', 'a'\n    raise AoError(what, stage=at)", {"a"}),
        ("def read(path, stage): ...\nread('p', 'a')", {"a"}),
        ("class C:\n    def read(self, stage, path): ...\nC().read('a', 'p')", {"a"}),
        ("class C:\n    async def get(self, stage): ...\nC().get('a')", set()),  # as a dict's
        ("class C:\n    async def get(self, stage): ...\nasync def f(): await C().get('a')", {"a"}),
        ("waiting.during('a', 'here')", {"a"}),
        ("print('a')", set()),
    ],
)
def test_stages_are_found(source: str, found: set[str]) -> None:
    assert used_stages([Source("aoshell.x", ast.parse(source))]).keys() == found


def test_a_page_without_a_place_is_refused() -> None:
    with pytest.raises(ValueError, match="no place for stages"):
        written("# Errors\n", {"stages": []})
