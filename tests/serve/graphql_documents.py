"""GraphQL documents in many combinations of clients' queries, some wrong, some damaged."""

from __future__ import annotations

import random
from typing import Any

Document = dict[str, Any]

PARTS = {
    "name": ["", "Q", "query", "on"],
    "ids": ['ids: ["a", "b"]', 'ids: "a"', "ids: $ids", "ids: [$id]", "ids: null", "ids: []", ""],
    "tags": [
        'tags: [{name: "Type", values: ["Process"]}]',
        'tags: {name: "T\\u00fcp\\"e" values: "x", op: NEQ}',
        "tags: $tags",
        'tags: [$tag, {name: $name, values: [$name, "x"], match: WILDCARD}]',
        'tags: [{name: """\n  block\n   text\n""", values: []}]',
        "",
    ],
    "page": [
        "first: 5, sort: HEIGHT_ASC",
        "first: $n after: $cursor",
        'sort: $sort, after: "", first: -0',
        "block: {min: 1, max: $n}",
        "block: $block",
        "",
    ],
    "fields": [
        "count edges { cursor node { ...N } }",
        "...C ...C pageInfo { hasNextPage }",
        "edges { node { id: recipient r: id tags { name value } } } edges { c: cursor }",
        "... on TransactionConnection @include(if: $yes) { count } __typename",
        "... @skip(if: $yes) { count } edges { __typename node @skip(if: false) { id } }",
        "edges { node { owner { address key } block { height } data { size } } }",
    ],
}
VARIABLES = (
    "$ids: [ID!], $id: ID! = 7, $tags: [TagFilter!], $tag: TagFilter!, $name: String!, $n: Int = 3,"
    "$cursor: String, $sort: SortOrder = HEIGHT_DESC, $block: BlockFilter, $yes: Boolean = true"
)
VALUES: dict[str, list[Any]] = {
    "ids": [["x", "y"], "x", None, [], [1]],
    "id": ["i", 9],
    "tags": [[{"name": "a", "values": ["b"]}], {"name": "a", "values": "b", "op": "NEQ"}, None],
    "tag": [{"name": "a", "values": ["b"], "match": "FUZZY_OR"}],
    "name": ["n", "ü"],
    "n": [1, None, 2.0],
    "cursor": ["c", None],
    "sort": ["INGESTED_AT_ASC"],
    "block": [{"min": 4}, {"max": None}, None],
    "yes": [True, False],
}
WRONG: dict[str, list[Any]] = {
    "ids": [[None], {}, True, 1.5],
    "id": [None, [], 1.5],
    "tags": [[{"name": "a"}], "a", [{"name": "a", "values": ["b"], "more": 1}]],
    "tag": [None, {"name": 1, "values": ["b"]}],
    "name": [None, 1, True, ["n"]],
    "n": ["1", 1.5, 1 << 31, True],
    "cursor": [1],
    "sort": ["height_asc", 1],
    "block": [{"min": "4"}, 1],
    "yes": ["true", 1],
}
USES = """
  use: transactions(ids: $ids, tags: $tags, first: $n, after: $cursor, sort: $sort, block: $block)
    @include(if: $yes) { ...C }
  more: transactions(tags: [$tag, {name: $name, values: "v"}]) { count }
  t: transaction(id: $id) { ...N }
"""
FRAGMENTS = """
fragment N on Transaction { id fee { winston } ...T }
fragment T on Transaction { tags { value name } }
fragment C on TransactionConnection { edges { cursor node { ...N anchor } } count }
"""


def documents(count: int) -> list[Document]:
    """Queries that use all fragments and variables, some with a wrong value."""
    chance = random.Random(3)
    made = []
    for number in range(count):
        part = {key: chance.choice(texts) for key, texts in PARTS.items()}
        arguments = f"{part['ids']} {part['tags']},, {part['page']}".strip(" ,")
        call = f"transactions({arguments})" if arguments else "transactions"
        head, inner = f"query {part['name']} ({VARIABLES})", f"{{ {part['fields']} }}"
        query = f"{head} {{ {call} {inner} {USES} }}{FRAGMENTS}"
        values = {
            name: chance.choice(many)
            for name, many in VALUES.items()
            if name in ("tag", "name") or chance.random() < 0.7
        }
        if number % 3 == 0:
            name = chance.choice(list(WRONG))
            values[name] = chance.choice(WRONG[name])
        made.append({"query": query, "variables": values})
    return made


def damaged(made: list[Document]) -> list[Document]:
    """The same with a few characters less, more or otherwise."""
    chance = random.Random(4)
    signs = '{}()[]:$@!=.,"\\#&| \n-01aé…\t\x01'
    worse = []
    for one in made:
        text = one["query"]
        for _ in range(chance.randrange(1, 3)):
            at = chance.randrange(len(text))
            text = text[:at] + chance.choice([*signs, "", '"""']) + text[at + chance.randrange(3) :]
        worse.append({**one, "query": text})
    return worse
