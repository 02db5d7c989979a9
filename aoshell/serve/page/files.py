"""The page's own files, and the headers that keep everything else out of it."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files

from aoshell.serve.asgi.http import Request, Response
from aoshell.serve.workbench import DEVICE

PART = "page"  # of the device: the second segment of its paths
PAGE = "page.html"

_KINDS = {
    "css": "text/css; charset=utf-8",
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
# Names in Host that a policy can contain; a policy cannot contain IPv6 addresses.
_NAMED = re.compile(r"[A-Za-z0-9.-]+(?::\d{1,5})?\Z")

# For everything below the prefix: no other page may show, include or open it.
KEPT_TO_ITSELF = (
    ("cache-control", "no-cache"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("referrer-policy", "no-referrer"),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
)
DATA_POLICY = ("content-security-policy", "default-src 'none'; frame-ancestors 'none'")


@cache
def names() -> frozenset[str]:
    """The names of the page's files."""
    folder = files(__package__).joinpath("static")
    return frozenset(entry.name for entry in folder.iterdir() if entry.is_file())


@cache
def _content(name: str) -> bytes:
    return files(__package__).joinpath("static", name).read_bytes()


def file_response(request: Request, name: str) -> Response:
    """The file of that name, one of `names`."""
    policy = _policy(request) if name == PAGE else DATA_POLICY
    kind = ("content-type", _KINDS[name.rpartition(".")[2]])
    vary = ("vary", "accept, origin")  # at "/", other clients get another answer
    return Response(200, (kind, vary, policy, *KEPT_TO_ITSELF), _content(name))


def _policy(request: Request) -> tuple[str, str]:
    """What the page may load and do: its own files, and reads from this server.

    `'self'` alone would allow scripts that somebody has uploaded, at `/raw/ID`.
    """
    host = request.header("host")
    own = f"{host}/~{DEVICE}/{PART}/" if _NAMED.match(host) else "'self'"
    return (
        "content-security-policy",
        f"default-src 'none'; script-src {own}; style-src {own}; connect-src 'self'; "
        f"img-src {own}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'; trusted-types 'none'",
    )
