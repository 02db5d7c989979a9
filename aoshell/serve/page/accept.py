"""Decides by Accept whether a client gets the page at `/`. Source: RFC 9110 section 12.5.1."""

from __future__ import annotations

import re

from aoshell.serve.asgi.http import Request

LONGEST_ACCEPT = 2048  # characters of an Accept that is read; those of browsers have 150

_PAGE, _INFO = "text/html", "application/json"
_WEIGHT = re.compile(r"(?:0(?:\.\d{0,3})?|1(?:\.0{0,3})?)\Z", re.A)


def prefers_page(request: Request) -> bool:
    """Whether a client names text/html, and prefers it to the JSON that other clients get."""
    accept = ",".join(value for name, value in request.headers if name == "accept")
    if len(accept) > LONGEST_ACCEPT:
        return False
    weights: dict[str, float] = {}
    for part in accept.split(","):
        kind, *parameters = (text.strip().lower() for text in part.split(";"))
        weights.setdefault(kind, _weight(parameters))
    ranges = (_INFO, "application/*", "*/*")  # the first one in Accept counts
    info = next((weights[kind] for kind in ranges if kind in weights), 0.0)
    return weights.get(_PAGE, 0.0) > info


def _weight(parameters: list[str]) -> float:
    """The value of `q`: 1 if it is missing, 0 if it is malformed."""
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            return float(value) if _WEIGHT.match(value.strip()) else 0.0
    return 1.0
