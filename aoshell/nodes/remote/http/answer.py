"""A whole answer of a remote node, and what a person is told of one that is no use."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from aoshell.bounded import jsontext
from aoshell.errors import AoError
from aoshell.protocol.encoding import brief
from aoshell.protocol.url import host_of

Headers = tuple[tuple[str, str], ...]
WITHHELD = "(what it says is not signed, so it is not shown)"


@dataclass(frozen=True, slots=True)
class Response:
    """A whole answer.

    Attributes:
        url: where it came from.
        headers: names in lower case, in order, repeated ones too.
        by: who gave it, as errors name it (`route.place`).
        withheld: its words are not for people, as nobody vouches for them.
    """

    url: str
    status: int
    headers: Headers
    body: bytes = field(repr=False)
    by: str = ""
    withheld: bool = False

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300

    def header(self, name: str) -> str:
        """The first header of that name, "" where there is none."""
        return next((value for known, value in self.headers if known == name), "")

    def json(self, stage: str) -> Any:
        """The body as JSON. Raises AoError, which says what it is instead."""
        try:
            return jsontext.parse(self.body)
        except jsontext.JsonLimitError as error:
            what = f"{self._who} answered JSON that {error}"
            raise AoError(what, stage=stage, hint="nothing of it was used") from None
        except ValueError:
            what = f"{self._who} answered {self._kind()} where JSON is due"
            raise AoError(
                what, stage=stage, hint=f"is {host_of(self.url)} such a node? .doctor looks"
            ) from None

    @property
    def _who(self) -> str:
        """Who is named where its JSON is of no use: a redirect may have led to any URL."""
        return self.by if self.withheld else self.url

    def text(self) -> str:
        return self.body.decode("utf-8", "replace")

    def said(self) -> str:
        """What an error's body tells a person, in a line."""
        if self.withheld:
            return WITHHELD
        if self.is_html():
            title = re.search(rb"<title>([^<]{1,120})", self.body)
            return title[1].decode("utf-8", "replace").strip() if title else "a page of HTML"
        return in_a_line(self.text())

    def is_html(self) -> bool:
        return self.body.lstrip()[:9].lower().startswith((b"<!doctype", b"<html"))

    def _kind(self) -> str:
        if self.is_html():
            return "HTML"
        if not self.body:
            return "nothing"
        if self.withheld:
            return "something"
        return f"{self.header('content-type') or 'something'} ({brief(self.said())})"


def in_a_line(text: str) -> str:
    """The beginning of a text, of at most 160 characters."""
    line = " ".join(text[:400].split())
    return line if len(line) <= 160 else line[:159] + "…"
