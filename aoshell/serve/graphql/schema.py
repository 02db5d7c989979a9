"""The schema of Arweave gateways: its fields, arguments and types, with Goldsky's additions
(`match`, `count`, `ingested_at`, `INGESTED_AT_…`) that clients of AO use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from aoshell.serve.graphql.syntax import Type

DEFAULT_ROWS = 10  # of a page


class EnumName(str):
    """The name of an enum's member; a text in quotes is a plain `str`, and never one."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Argument:
    """An argument of a field, or a member of an input object."""

    type: Type
    default: Any = None


@dataclass(frozen=True, slots=True)
class FieldType:
    """A field of an object: its type, whether it is a list of these, and its arguments."""

    type: str
    many: bool = False
    arguments: Mapping[str, Argument] = field(default_factory=dict)


SCALARS = frozenset(("ID", "String", "Int", "Float", "Boolean"))

ENUMS: Mapping[str, frozenset[str]] = {
    "SortOrder": frozenset(("HEIGHT_ASC", "HEIGHT_DESC", "INGESTED_AT_ASC", "INGESTED_AT_DESC")),
    "TagOperator": frozenset(("EQ", "NEQ")),
    "TagMatch": frozenset(("EXACT", "WILDCARD", "FUZZY_AND", "FUZZY_OR")),
}


def _type(text: str) -> Type:
    """The type that a text names. No type of this schema has lists of lists."""
    bare, required = text.removesuffix("!"), text.endswith("!")
    if bare.startswith("["):
        return Type("", _type(bare[1:-1]), required)
    return Type(bare, None, required)


def _arguments(**types: str | tuple[str, Any]) -> Mapping[str, Argument]:
    return {
        name: Argument(_type(given), None)
        if isinstance(given, str)
        else Argument(_type(given[0]), given[1])
        for name, given in types.items()
    }


INPUTS: Mapping[str, Mapping[str, Argument]] = {
    "TagFilter": _arguments(
        name="String!",
        values="[String!]!",
        op=("TagOperator", EnumName("EQ")),
        match=("TagMatch", EnumName("EXACT")),
    ),
    "BlockFilter": _arguments(min="Int", max="Int"),
}

_PAGE: Mapping[str, str | tuple[str, Any]] = {
    "first": ("Int", DEFAULT_ROWS),
    "after": "String",
    "sort": ("SortOrder", EnumName("HEIGHT_DESC")),
}


def _object(**types: str) -> Mapping[str, FieldType]:
    return {
        name: FieldType(text.strip("[]"), text.startswith("["), {}) for name, text in types.items()
    }


OBJECTS: Mapping[str, Mapping[str, FieldType]] = {
    "Query": {
        "transaction": FieldType("Transaction", arguments=_arguments(id="ID!")),
        "transactions": FieldType(
            "TransactionConnection",
            arguments=_arguments(
                ids="[ID!]",
                owners="[String!]",
                recipients="[String!]",
                tags="[TagFilter!]",
                bundledIn="[ID!]",
                block="BlockFilter",
                **_PAGE,
            ),
        ),
        "block": FieldType("Block", arguments=_arguments(id="String")),
        "blocks": FieldType(
            "BlockConnection", arguments=_arguments(ids="[ID!]", height="BlockFilter", **_PAGE)
        ),
    },
    "TransactionConnection": _object(count="Int", pageInfo="PageInfo", edges="[TransactionEdge]"),
    "TransactionEdge": _object(cursor="String", node="Transaction"),
    "BlockConnection": _object(pageInfo="PageInfo", edges="[BlockEdge]"),
    "BlockEdge": _object(cursor="String", node="Block"),
    "PageInfo": _object(hasNextPage="Boolean"),
    "Transaction": _object(
        id="ID",
        anchor="String",
        signature="String",
        recipient="String",
        owner="Owner",
        fee="Amount",
        quantity="Amount",
        data="MetaData",
        tags="[Tag]",
        block="Block",
        parent="Parent",
        bundledIn="Bundle",
        ingested_at="Int",
    ),
    "Owner": _object(address="String", key="String"),
    "Amount": _object(winston="String", ar="String"),
    "MetaData": _object(size="String", type="String"),
    "Tag": _object(name="String", value="String"),
    "Block": _object(id="ID", timestamp="Int", height="Int", previous="ID"),
    "Parent": _object(id="ID"),
    "Bundle": _object(id="ID"),
}
