"""What a process on a HyperBEAM node sends, as its results list it."""

from __future__ import annotations

import pytest

from aoshell.nodes.remote.hyperbeam.results import to_result


@pytest.mark.parametrize(
    ("message", "data", "tags"),
    [
        ({"body": "x", "a": "1"}, b"x", [("a", "1")]),
        ({"data": "x", "body": "y", "a": "1"}, b"x", [("body", "y"), ("a", "1")]),
        ({"data": "x", "a": "1", "tags": [{"name": "b", "value": "2"}]}, b"x", [("b", "2")]),
    ],
)
def test_the_body_of_what_is_sent_is_its_data_where_it_has_no_other(
    message: dict[str, object], data: bytes, tags: list[tuple[str, str]]
) -> None:
    answer = {"results": {"outbox": {"1": {"target": "T" * 43, **message}}}}
    (sent,) = to_result("P" * 43, 1, answer, "node").messages
    assert (sent.target, sent.data) == ("T" * 43, data)
    assert [(tag.name, tag.value) for tag in sent.tags] == tags
