"""The parser of GraphQL documents, and the checks before any look-up."""

from __future__ import annotations

import contextlib
import json
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aoshell.serve.graphql import lexer, parser, selecting, syntax, values
from aoshell.serve.graphql.errors import GraphqlError
from aoshell.serve.graphql.parser import parse
from aoshell.serve.graphql.selecting import Selected, select

NAMES = st.sampled_from(["a", "_b", "Cd_9", "__e", "query", "fragment", "on", "true", "null"])
FREE = NAMES.filter(lambda name: name not in ("on", "true", "false", "null"))
TEXTS = st.text(st.characters(exclude_categories=("Cs",)), max_size=12)
NUMBERS = st.integers(-(10**12), 10**12) | st.floats(allow_nan=False, allow_infinity=False)
VALUES: st.SearchStrategy[syntax.Value] = st.recursive(
    st.none()
    | st.booleans()
    | NUMBERS
    | TEXTS
    | FREE.map(syntax.Enum)
    | NAMES.map(lambda name: syntax.Variable(name, 0)),
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda many: syntax.ListValue(tuple(many)))
        | st.dictionaries(NAMES, inner, max_size=3).map(
            lambda many: syntax.ObjectValue(tuple(many.items()))
        )
    ),
    max_leaves=6,
)
ARGUMENTS = st.dictionaries(NAMES, VALUES, max_size=2).map(lambda many: tuple(many.items()))
DIRECTIVES = st.lists(st.builds(syntax.Directive, NAMES, ARGUMENTS, st.just(0)), max_size=1).map(
    tuple
)


def fields(inner: Any) -> Any:
    return st.builds(syntax.Field, NAMES, NAMES, ARGUMENTS, DIRECTIVES, inner, st.just(0))


def some(inner: Any, least: int = 1) -> Any:
    return st.lists(inner, min_size=least, max_size=3).map(tuple)


SELECTIONS = st.recursive(
    fields(st.just(())) | st.builds(syntax.Spread, FREE, DIRECTIVES, st.just(0)),
    lambda inner: (
        fields(some(inner))
        | st.builds(syntax.Inline, st.just("") | NAMES, DIRECTIVES, some(inner), st.just(0))
    ),
    max_leaves=6,
)
OPERATIONS = st.builds(
    syntax.Operation, NAMES, st.just(()), DIRECTIVES, some(SELECTIONS), st.just(0)
)
FRAGMENTS = st.builds(syntax.Fragment, FREE, NAMES, DIRECTIVES, some(SELECTIONS), st.just(0))


def written(tree: Any) -> str:
    """A syntax tree as text."""
    match tree:
        case syntax.Variable(name):
            return f"${name}"
        case syntax.Enum(name):
            return name
        case syntax.ListValue(members):
            return f"[{' '.join(map(written, members))}]"
        case syntax.ObjectValue(members):
            return "{" + ",".join(f"{name}:{written(value)}" for name, value in members) + "}"
        case syntax.Directive(name, arguments):
            return f"@{name}{_arguments(arguments)}"
        case syntax.Field(key, name, arguments, directives, selections):
            head = f"{key} : {name}{_arguments(arguments)}{_all(directives)}"
            return head + (_braced(selections) if selections else "")
        case syntax.Spread(name, directives):
            return f"... {name}{_all(directives)}"
        case syntax.Inline(type, directives, selections):
            return f"...{f' on {type}' * bool(type)}{_all(directives)}{_braced(selections)}"
        case syntax.Operation(name, _, directives, selections):
            return f"query {name}{_all(directives)}{_braced(selections)}"
        case syntax.Fragment(name, type, directives, selections):
            return f"fragment {name} on {type}{_all(directives)}{_braced(selections)}"
    return json.dumps(tree)


def _arguments(pairs: Any) -> str:
    return f"({','.join(f'{n}:{written(v)}' for n, v in pairs)})" if pairs else ""


def _all(directives: Any) -> str:
    return "".join(f" {written(one)}" for one in directives)


def _braced(selections: Any) -> str:
    return "{" + "\n".join(map(written, selections)) + "}"


@settings(max_examples=40)
@given(OPERATIONS, st.lists(FRAGMENTS, max_size=2, unique_by=lambda one: one.name))
def test_what_is_written_is_read(operation: Any, fragments: list[Any]) -> None:
    text = "\n# a comment\n".join(map(written, [operation, *fragments]))
    document = parse(f"\ufeff{text}")
    assert document.operations == (operation,)
    assert list(document.fragments.values()) == fragments


PIECES = st.sampled_from(
    [*'{}()[]:$@!=|&,#"\\\n .-0123e', "...", '"""', "on", "query", "fragment", "a", "true", "\\u"]
)


@given(st.text(max_size=30) | st.lists(PIECES, max_size=30).map("".join))
def test_any_text_is_read_or_refused_with_a_place(text: str) -> None:
    try:
        parse(text)
    except GraphqlError as error:
        assert error.place is not None
        line, column = error.place
        assert 1 <= line <= len(lexer._BREAK.split(text)) and 1 <= column <= len(text) + 1


@settings(max_examples=40)
@given(
    st.recursive(
        st.none() | st.integers() | TEXTS, lambda v: st.lists(v) | st.dictionaries(TEXTS, v)
    )
)
def test_any_variable_is_taken_or_refused(value: Any) -> None:
    for type in ("String", "[ID!]!", "TagFilter", "SortOrder", "Int", "BlockFilter", "Boolean!"):
        document = parse(f"query ($a: {type}) {{ transaction(id: $a) {{ id }} }}")
        with contextlib.suppress(GraphqlError):
            select(document, "", {"a": value})


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (r'"a\u00fc\n\"\/"', 'aü\n"/'),
        (r'"\ud83d\ude00 \u{1F600}"', "😀 😀"),
        ('"""\n    a\n      b\n\n    """', "a\n  b"),
        ('"""one \\""" two"""', 'one """ two'),
        ('""', ""),
        ("-0", 0),
        ("1e3", 1000.0),
        ("1e999", math.inf),
    ],
)
def test_literals(text: str, value: Any) -> None:
    ((_, given),) = parse(f"{{a(b: {text})}}").operations[0].selections[0].arguments  # type: ignore[union-attr]
    assert given == value


@pytest.mark.parametrize(
    ("text", "what", "place"),
    [
        ("", "Unexpected <EOF>", (1, 1)),
        ("{ a\n  b", 'Expected "}"', (2, 4)),
        ('{a(b:"x)}', "Unterminated string", (1, 6)),
        ("{a(b:01)}", "Invalid number", (1, 6)),
        ("{a(b:1.)}", "Invalid number", (1, 6)),
        ("{a(b:1a)}", "Invalid number", (1, 6)),
        (r'{a(b:"\ud83d")}', "half a surrogate pair", (1, 6)),
        (r'{a(b:"\x")}', "Invalid escape", (1, 7)),
        ("{a(b:1 b:2)}", "given twice", (1, 3)),
        ("{}", "Expected Name", (1, 2)),
        ("mutation { a }", "no mutations here", (1, 1)),
        ("subscription { a }", "no subscriptions here", (1, 1)),
        ("type A { b: C }", "Unexpected Name", (1, 1)),
        ("fragment on on A {b}", 'Unexpected Name "on"', (1, 10)),
        ("fragment a on A {b} fragment a on A {b}", "two fragments", (1, 21)),
        ("query ($a: Int = $b) {a}", 'Unexpected "$"', (1, 18)),
        ("query ($a: [Int Int]) {a}", 'Expected "]", found Name', (1, 17)),
        ("{a} é", "Unexpected character", (1, 5)),
    ],
)
def test_syntax_errors(text: str, what: str, place: tuple[int, int]) -> None:
    with pytest.raises(GraphqlError, match="Syntax Error") as caught:
        parse(text)
    assert what in str(caught.value)
    assert caught.value.place == place


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("{a" + " " * lexer.LONGEST_TEXT + "}", "longer than 256 KB"),
        ("{" + "a " * lexer.MOST_TOKENS + "}", "tokens"),
        ("{a" * (parser.DEEPEST + 1) + "}" * (parser.DEEPEST + 1), "nested deeper"),
        ("{a(b:" + "[" * parser.DEEPEST + "]" * parser.DEEPEST + ")}", "nested deeper"),
        ("{a(b:1" + "0" * parser.LONGEST_NUMBER + ")}", "number has more than"),
        ("{" + "block { id } " * (selecting.MOST_FIELDS // 2 + 1) + "}", "fields"),
        ("{" + "".join(f"a{n}:block{{id}}" for n in range(201)) + "}", "fields at its top"),
        ("query {...a} fragment a on Query {...a}", "nested deeper"),
        (
            "query {...a0}"
            + "".join(f"fragment a{n} on Query {{...a{n + 1} ...a{n + 1}}}" for n in range(20))
            + "fragment a20 on Query {__typename}",
            "fields",
        ),
        (
            "{transactions(ids: [" + '"a" ' * (values.MOST_VALUES + 1) + "]) {count}}",
            "list has more than",
        ),
    ],
    ids=lambda value: value if len(value) < 30 else "",
)
def test_bounds(text: str, what: str) -> None:
    with pytest.raises(GraphqlError, match=what):
        select(parse(text), "", {})


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("{nothing}", 'Cannot query field "nothing" on type "Query"'),
        ("{__schema {types}}", "introspection"),
        ("{block}", "must have a selection"),
        ("{block {id {id}}}", "has no subfields"),
        ("{block(hash: 1) {id}}", "has no 'hash'"),
        ("{transaction {id}}", 'needs "id" of type "ID!"'),
        ("{transaction(id: null) {id}}", "found null"),
        ("{transaction(id: $x) {id}}", '"$x" is not defined'),
        ("query($x: ID!) {transaction(id: $x) {id}}", "was not provided"),
        ("query($x: Thing) {transaction(id: $x) {id}}", "unknown type"),
        ("query($x: ID $x: ID) {transaction(id: $x) {id}}", "two variables"),
        ('{transactions(sort: "HEIGHT_ASC") {count}}', 'expected "SortOrder"'),
        ("{transactions(sort: HEIGHT) {count}}", 'expected "SortOrder", found HEIGHT'),
        ("{transactions(first: 9999999999) {count}}", 'expected "Int"'),
        ("{transactions(owners: [EQ]) {count}}", 'expected "String!", found EQ'),
        ("{transactions(tags: {name: 1}) {count}}", 'expected "String!", found 1'),
        ('{transactions(tags: {name: "a"}) {count}}', 'needs "values"'),
        ('{transactions(tags: {name: "a" values: "b" so: 1}) {count}}', "has no 'so'"),
        ("{transactions(tags: 1) {count}}", 'expected "TagFilter!", found 1'),
        ("{...nothing}", 'Unknown fragment "nothing"'),
        ("{... on Thing {id}}", 'Unknown type "Thing"'),
        ("{... on Block {id}}", "cannot be spread here"),
        ("{block @defer {id}}", 'Unknown directive "@defer"'),
        ("{block @skip {id}}", 'needs "if"'),
        ('{block @skip(if: "yes") {id}}', 'expected "Boolean!"'),
        ("{a: block {id} a: blocks {edges {cursor}}}", "conflict"),
        ('{a: transaction(id: "b") {id} a: transaction(id: "c") {id}}', "conflict"),
        ("query A {block {id}} query B {block {id}}", "Must provide operation name"),
        ("fragment a on Block {id}", "no operation"),
    ],
)
def test_what_there_is_not(text: str, what: str) -> None:
    with pytest.raises(GraphqlError) as caught:
        select(parse(text), "", {})
    assert what in str(caught.value)


def keys(fields: dict[str, Selected]) -> Any:
    return {key: keys(field.fields) for key, field in fields.items()}


def test_fragments_and_directives_are_resolved() -> None:
    text = """query Q($no: Boolean!, $yes: Boolean = true, $ids: [ID!]) {
      one: transactions(ids: $ids) { ...Edges count @skip(if: $yes) }
      two: transactions(ids: "a") { ... on TransactionConnection @include(if: $yes) { count }
        ... @include(if: $no) { pageInfo { hasNextPage } } edges { cursor } edges { node { id } } }
      __typename }
    fragment Edges on TransactionConnection { edges { ...Cursor } }
    fragment Cursor on TransactionEdge { c: cursor }"""
    selected = select(parse(text), "Q", {"no": False, "ids": "x"})
    assert keys(selected) == {
        "one": {"edges": {"c": {}}},
        "two": {"count": {}, "edges": {"cursor": {}, "node": {"id": {}}}},
        "__typename": {},
    }
    assert selected["one"].arguments["ids"] == ["x"]
    assert selected["one"].arguments["first"] == 10
    assert selected["two"].asks_for("edges", "node") and not selected["one"].asks_for("count")


def test_one_value_is_taken_where_a_list_is_meant() -> None:
    text = """query ($owner: String!, $tag: TagFilter!) {
      transactions(owners: $owner, tags: $tag, ids: "a", recipients: ["b"]) { count } }"""
    tag = {"name": "Type", "values": "Process"}
    (field,) = select(parse(text), "", {"owner": "o", "tag": tag}).values()
    assert field.arguments["owners"] == ["o"] and field.arguments["ids"] == ["a"]
    (clause,) = field.arguments["tags"]
    assert clause == {"name": "Type", "values": ["Process"], "op": "EQ", "match": "EXACT"}


def test_a_missing_variable_is_no_null() -> None:
    text = "query ($n: Int, $ids: [ID!] = null) { transactions(first: $n, ids: $ids) { count } }"
    (field,) = select(parse(text), "", {}).values()
    assert (field.arguments["first"], field.arguments["ids"]) == (10, None)
    (field,) = select(parse(text), "", {"n": None}).values()
    assert field.arguments["first"] is None
