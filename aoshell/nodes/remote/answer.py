"""A whole answer of a remote node, and what a person is told of one that is no use."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from aoshell.bounded import jsontext
from aoshell.errors import AoError
from aoshell.protocol.encoding import brief

Headers = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer.

    Attributes:
        url: where it came from.
        headers: names in lower case, in order, repeated ones too.
    """

    url: str
    status: int
    headers: Headers
    body: bytes = field(repr=False)

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
        except jsontext.Exceeded as error:
            what = f"{self.url} answered JSON that {error}"
            raise AoError(what, stage=stage, hint="nothing of it was used") from None
        except ValueError:
            what = f"{self.url} answered {self._kind()} where JSON is due"
            raise AoError(
                what, stage=stage, hint=f"is {host_of(self.url)} such a node? .doctor looks"
            ) from None

    def text(self) -> str:
        return self.body.decode("utf-8", "replace")

    def said(self) -> str:
        """What an error's body tells a person, in a line."""
        if self.is_html():
            title = re.search(rb"<title>([^<]{1,120})", self.body)
            return title[1].decode("utf-8", "replace").strip() if title else "a page of HTML"
        line = " ".join(self.text()[:400].split())
        return line if len(line) <= 160 else line[:159] + "…"

    def is_html(self) -> bool:
        return self.body.lstrip()[:9].lower().startswith((b"<!doctype", b"<html"))

    def _kind(self) -> str:
        if self.is_html():
            return "HTML"
        if not self.body:
            return "nothing"
        return f"{self.header('content-type') or 'something'} ({brief(self.said())})"


def host_of(url: str) -> str:
    """Host and port of a URL, without what identifies a user there."""
    return urlsplit(url).netloc.rpartition("@")[2]
