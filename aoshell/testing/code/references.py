"""`@name` in code that a test evaluates, as at the prompt."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

from aoshell.errors import AoError
from aoshell.lua.references import find_references, reference_to, replaced
from aoshell.nodes.base import Node
from aoshell.nodes.values import NotFoundError

ME = "me"  # the owner of a test's processes, like the own wallet at the prompt


async def with_ids(code: str, node: Node, people: Mapping[str, str]) -> str:
    """Lua with ids instead of `@name`.

    Args:
        people: addresses of identities by name.

    Raises:
        AoError: stage "find", a name is unknown in the test, or names a process and an identity.
    """
    ids: dict[str, str] = {}
    for one in find_references(code):
        found = {people[one.name]} if one.name in people else set()
        with suppress(NotFoundError):
            found.add((await node.find(one.name)).id)
        if len(found) != 1:
            what = "two things" if found else "no process and no identity"
            raise AoError(
                f"{reference_to(one.name)} is {what} in this test",
                stage="find",
                hint="name what it makes: t:spawn { name = … }, t:as(…)",
            )
        ids[one.name] = found.pop()
    return replaced(code, ids.__getitem__)
