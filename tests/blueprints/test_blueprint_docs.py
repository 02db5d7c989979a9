"""docs/blueprints.md says of each blueprint what its file is.

`python tests/blueprints/test_blueprint_docs.py` writes what the files are now into the page.
"""

from __future__ import annotations

import re
from pathlib import Path

from aoshell.blueprints import SHIPPED, BlueprintFacts
from aoshell.shell.code.bundle import bundle
from aoshell.shell.view.text import format_size

PAGE = Path(__file__).resolve().parents[2] / "docs" / "blueprints.md"
EXAMPLE = re.compile(r"token: .*, comes with aoshell\n  hash      \S+\n  handlers  .*\n")
TABLE = re.compile(r"(\| blueprint \| bytes \| hash \|\n\|---\|---\|---\|\n)(?:\| `.*\n)+")


def made(page: str) -> str:
    """The page with the sizes, hashes and handlers that the files have."""
    facts = {
        path.stem: BlueprintFacts.of(bundle(path).source) for path in sorted(SHIPPED.glob("*.lua"))
    }
    token = facts["token"]
    example = (
        f"token: {format_size(token.size)}, comes with aoshell\n"
        f"  hash      {token.hash}\n"
        f"  handlers  {', '.join(token.handlers)}\n"
    )
    rows = "".join(
        f"| `{name}` | {fact.size:,} | `{fact.hash}` |\n" for name, fact in facts.items()
    )
    page, examples = EXAMPLE.subn(lambda _found: example, page)
    page, tables = TABLE.subn(lambda found: found[1] + rows, page)
    assert (examples, tables) == (1, 1)
    return page


def test_sizes_and_hashes_are_those_of_the_files() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert page == made(page), "run python tests/blueprints/test_blueprint_docs.py"


if __name__ == "__main__":
    PAGE.write_text(made(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
