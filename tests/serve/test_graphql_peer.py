"""The reference implementation of GraphQL, from npm, is compared with our parser and our answers.

Documents are made of parts that clients use, in many combinations, and damaged in many ways. We
must refuse the texts that the reference refuses, at the same place, and give its answers, with the
same keys and values. Without npm this is skipped.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from graphql_documents import Document, damaged, documents
from npm_packages import installed

from aoshell.serve.graphql import schema
from aoshell.serve.graphql.errors import GraphqlError
from aoshell.serve.graphql.executor import project
from aoshell.serve.graphql.parser import parse
from aoshell.serve.graphql.schema import EnumName
from aoshell.serve.graphql.selecting import TYPE_NAME, Selected, select

PEER = Path(__file__).with_name("graphql_peer.mjs")
Peer = Callable[[list[Document]], list[dict[str, Any]]]


@pytest.fixture(scope="session")
def peer(tmp_path_factory: pytest.TempPathFactory) -> Peer:
    folder = installed(tmp_path_factory)

    def ask(documents: list[Document]) -> list[dict[str, Any]]:
        done = subprocess.run(
            ["node", str(PEER), str(folder)],
            input=json.dumps({"schema": as_text(), "documents": documents}),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        answers: list[dict[str, Any]] = json.loads(done.stdout)
        return answers

    return ask


def as_text() -> str:
    """Our schema in the language of schemas."""
    lines = []
    for name, members in schema.ENUMS.items():
        lines.append(f"enum {name} {{ {' '.join(sorted(members))} }}")
    for name, arguments in schema.INPUTS.items():
        lines.append(f"input {name} {{ {_arguments(arguments)} }}")
    for name, fields in schema.OBJECTS.items():
        parts = []
        for field, type in fields.items():
            given = f"({_arguments(type.arguments)})" if type.arguments else ""
            parts.append(f"{field}{given}: {f'[{type.type}]' if type.many else type.type}")
        lines.append(f"type {name} {{ {' '.join(parts)} }}")
    return "\n".join(lines)


def _arguments(arguments: Any) -> str:
    return ", ".join(
        f"{name}: {one.type}" + (f" = {one.default}" if one.default is not None else "")
        for name, one in arguments.items()
    )


def filled(fields: dict[str, Selected]) -> Any:
    """An answer with the values that the reference's stand-in gives."""
    return {key: project(field, _value(field)) for key, field in fields.items()}


def _value(field: Selected) -> Any:
    if field.name == TYPE_NAME:
        return None
    type = field.value_type
    if type.type not in schema.OBJECTS:
        return {"Int": 1, "Boolean": True}.get(type.type, "x")
    value = {below.name: _value(below) for below in field.fields.values()}
    return [value] if type.many else value


def given(fields: dict[str, Selected], path: str = "") -> dict[str, Any]:
    """The arguments that have a value, by path."""
    found = dict[str, Any]()
    for key, field in fields.items():
        at = f"{path}{key}"
        arguments = {name: _plain(v) for name, v in field.arguments.items() if v is not None}
        if arguments:
            found[at] = arguments
        found |= given(field.fields, f"{at}.")
    return found


def _plain(value: Any) -> Any:
    """Values as JSON has them; members without a value are left out."""
    if isinstance(value, dict):
        return {name: _plain(member) for name, member in value.items() if member is not None}
    if isinstance(value, list):
        return [_plain(member) for member in value]
    return str(value) if isinstance(value, EnumName) else value


def ours(document: Document) -> dict[str, Any]:
    try:
        tree = parse(document["query"])
    except GraphqlError as error:
        return {"syntax": str(error), "place": list(error.place or ())}
    try:
        fields = select(tree, "", document["variables"])
    except GraphqlError as error:
        return {"wrong": [str(error)]}
    return {"data": filled(fields), "values": given(fields)}


def test_what_the_reference_answers_is_answered_the_same(peer: Peer) -> None:
    made = documents(300)
    answers = peer(made)
    assert sum("data" in answer for answer in answers) > 100
    assert sum("wrong" in answer for answer in answers) > 50
    for document, answer in zip(made, answers, strict=True):
        got = ours(document)
        if "data" in answer:
            values = {at: _plain(value) for at, value in answer["values"].items()}
            assert got == {"data": answer["data"], "values": values}, document
            assert _order(got["data"]) == _order(answer["data"])
        else:
            assert got.keys() == answer.keys(), (document, answer, got)


def _order(value: Any) -> Any:
    if isinstance(value, dict):
        return [(key, _order(member)) for key, member in value.items()]
    return [_order(member) for member in value] if isinstance(value, list) else value


def test_what_the_reference_cannot_read_is_refused_at_the_same_place(peer: Peer) -> None:
    made = damaged(documents(600))
    answers = peer(made)
    assert sum("syntax" in answer for answer in answers) > 200
    for document, answer in zip(made, answers, strict=True):
        got = ours(document)
        if "syntax" in answer:
            assert "syntax" in got, (document["query"], answer, got)
            # Of a string or a number that is malformed, the reference names the inner place.
            if "xpected" in answer["syntax"] and "xpected" in got["syntax"]:
                assert got["place"] == answer["place"], (document["query"], answer, got)
        else:
            assert "syntax" not in got, (document["query"], answer, got)
            if "data" in answer:
                assert got.get("data") == answer["data"], document
