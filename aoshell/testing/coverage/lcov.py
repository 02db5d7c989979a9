"""Coverage as an LCOV tracefile (geninfo(1), "FILES"), for genhtml, editors and services."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from aoshell.testing.coverage.totals import FileTotal, FunctionTotal

# Characters that would end a record early, or are not valid in a name.
_UNFIT = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def tracefile(files: Iterable[FileTotal]) -> str:
    """The tracefile. A file whose path has a line break is left out: no record can name it."""
    return "".join(
        f"{line}\n" for file in files if not _UNFIT.search(file.path) for line in _record(file)
    )


def _record(file: FileTotal) -> Iterator[str]:
    yield "TN:"
    yield f"SF:{file.path}"
    named = list(_named(file.functions))
    for name, function in named:
        yield f"FN:{function.first},{name}"
    for name, function in named:
        yield f"FNDA:{function.called},{name}"
    yield f"FNF:{len(named)}"
    yield f"FNH:{sum(function.called > 0 for _name, function in named)}"
    branches = file.whole.branches
    for number, branch in enumerate(branches):
        for way, times in enumerate(branch.ways.values()):
            yield f"BRDA:{branch.line},{number},{way},{times if branch.taken else '-'}"
    yield f"BRF:{file.whole.ways}"
    yield f"BRH:{file.whole.taken}"
    for line, times in file.whole.lines.items():
        yield f"DA:{line},{times}"
    yield f"LF:{len(file.whole.lines)}"
    yield f"LH:{file.whole.ran}"
    yield "end_of_record"


def _named(functions: Iterable[FunctionTotal]) -> Iterator[tuple[str, FunctionTotal]]:
    """Functions by unique names, without commas: a comma would end a field."""
    seen: set[str] = set()
    for function in functions:
        name = _UNFIT.sub("?", function.name).replace(",", ";").strip()
        if not name or name in seen:
            name = f"{name or 'function'} ({function.first}-{function.last})"
        seen.add(name)
        yield name, function
