"""An answer of a remote node, and texts for errors about answers that cannot be used."""

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
    """A complete answer.

    Attributes:
        url: where it came from.
        headers: names in lower case, in order, including repeated ones.
        by: the host that gave it, for errors (`route.place`).
        withheld: whether to hide its text from users, as it is not signed.
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
        """The first header of that name, "" if there is none."""
        return next((value for known, value in self.headers if known == name), "")

    def json(self, stage: str) -> Any:
        """The body as JSON. Raises AoError, which describes the body, if it is no JSON."""
        try:
            return jsontext.parse(self.body)
        except jsontext.JsonLimitError as error:
            what = f"{self._who} answered JSON that {error}"
            raise AoError(what, stage=stage, hint="nothing of it was used") from None
        except ValueError:
            what = f"{self._who} answered {self.kind()} where JSON is due"
            raise AoError(
                what, stage=stage, hint=f"is {host_of(self.url)} such a node? .doctor looks"
            ) from None

    @property
    def _who(self) -> str:
        """The host for errors on JSON; not a URL from a redirect, which is unsigned text, too."""
        return self.by if self.withheld else self.url

    def text(self) -> str:
        return self.body.decode("utf-8", "replace")

    def summary(self) -> str:
        """The text of an error's body in one line, for people."""
        if self.withheld:
            return WITHHELD
        if self.is_html():
            title = re.search(rb"<title>([^<]{1,120})", self.body)
            return title[1].decode("utf-8", "replace").strip() if title else "a page of HTML"
        return in_a_line(self.text())

    def is_html(self) -> bool:
        return self.body.lstrip()[:9].lower().startswith((b"<!doctype", b"<html"))

    def kind(self) -> str:
        """What kind of body it is, for errors about an unexpected one."""
        if self.is_html():
            return "HTML"
        if not self.body:
            return "nothing"
        if self.withheld:
            return "something"
        return f"{self.header('content-type') or 'something'} ({brief(self.summary())})"


def in_a_line(text: str) -> str:
    """The beginning of a text, of at most 160 characters."""
    line = " ".join(text[:400].split())
    return line if len(line) <= 160 else line[:159] + "…"
