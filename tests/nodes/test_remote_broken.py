"""Answers whose head a line break in a field ends too early, as real nodes give them."""

from __future__ import annotations

import pytest
from http_server import Server, asked, get, quick, says

from aoshell.nodes.remote.http.broken import CHUNKS, FIELDS, mended

__all__ = ["quick"]  # fixture

HEAD = b"HTTP/1.1 500 Internal Server Error\r\nphase: compute\r\ntrace:   a:b/1 [c.erl:1]\n"
BEHIND = b"Transfer-Encoding: chunked\r\nvia:  x \r\n\r\n"


def test_what_stands_behind_the_line_break_is_read_as_it_was_meant() -> None:
    raw = HEAD + b"\r\n" + BEHIND + b"2\r\n{}\r\n0a\r\n0123456789\r\n0\r\n\r\n"
    answer = asked(Server(says(raw)), get)
    assert (answer.status, answer.body) == (500, b"{}0123456789")
    assert (answer.header("phase"), answer.header("via")) == ("compute", "x")


WHOLE = BEHIND + b"2\r\n{}\r\n0\r\n\r\n"


@pytest.mark.parametrize(
    "body",
    [
        *(WHOLE[:at] for at in range(len(WHOLE))),
        WHOLE + b"x",
        WHOLE.replace(b"2\r\n", b"3\r\n"),
        WHOLE.replace(b"2\r\n", b"-2\r\n"),
        WHOLE.replace(b"2\r\n", b"fffffffff\r\n"),
        WHOLE.replace(b"chunked", b"gzip"),
        b"content-length: 2\r\n" + WHOLE,
        b"a: b\r\n" * FIELDS + WHOLE,
        BEHIND + b"1\r\nx\r\n" * CHUNKS + b"0\r\n\r\n",
        b"{}",
    ],
)
def test_whatever_else_stays_as_it_came(body: bytes) -> None:
    headers = (("phase", "compute"),)
    assert mended(headers, body) == (headers, body)


@pytest.mark.parametrize("framing", ["content-length", "transfer-encoding"])
def test_an_answer_that_is_whole_stays_as_it_came(framing: str) -> None:
    headers = ((framing, "x"),)
    assert mended(headers, WHOLE) == (headers, WHOLE)
