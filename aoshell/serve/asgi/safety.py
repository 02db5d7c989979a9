"""Checks who may ask: names in Host, origins of web pages, preflights, the workbench's token.

Any web page can send requests to a server on loopback. The browser then names the page's `Origin`,
and lets the page read the answer only if CORS headers allow it. By then the request was carried
out. So a request from an origin that is not allowed is refused before its body is read. A page
whose own name leads to loopback (DNS rebinding) may have an origin that is allowed; but then `Host`
has that name, and is refused.

Sources: the Fetch standard (CORS), Fetch Metadata (W3C), Private Network Access (WICG), RFC 9110
section 7.2.
"""

from __future__ import annotations

import hmac
import ipaddress
import re
from collections.abc import Iterable
from urllib.parse import urlsplit

from aoshell.serve.asgi.http import Request, RequestError, Response

ANY = "*"  # given as an origin: every page may ask

PREFLIGHT_SECONDS = 600  # that a browser may remember what is allowed
_METHODS = "GET, POST, PUT, DELETE, OPTIONS, HEAD, PATCH"

# Values of Sec-Fetch-Site for a program, a typed URL, and this server's own page (Fetch Metadata).
_OWN_PAGE = ("", "none", "same-origin")

_HOST = re.compile(r"(?:\[([^\]]*)\]|([^:@\[\]]*))(?::\d*)?", re.A)  # name or [IPv6], and a port

# Data of others comes from our own origin. `sandbox` runs no script in it and gives it another
# origin; `nosniff` keeps browsers from showing text as a page.
FOREIGN_DATA = (
    ("content-security-policy", "sandbox"),
    ("x-content-type-options", "nosniff"),
)


class Guard:
    """Accepts or refuses requests by their headers.

    Args:
        names: what Host may be besides the names of loopback.
        origins: origins of pages that may ask, besides pages from loopback; `ANY` allows all.
        any_address: Host may be any IP address, as the server listens on all of the machine's.
    """

    def __init__(
        self, names: Iterable[str] = (), origins: Iterable[str] = (), *, any_address: bool = False
    ) -> None:
        self._names = {name.lower().rstrip(".") for name in names}
        self._origins = {origin.lower().rstrip("/") for origin in origins}
        self._any_address = any_address

    def check(self, request: Request) -> Response | None:
        """The answer to a preflight; None where the request may go on. Its body is not read.

        Raises:
            RequestError: it is refused.
        """
        self._check_host(request)
        if sum(name == "origin" for name, _ in request.headers) > 1:
            raise RequestError(400, "a request has one Origin header at most")
        origin = request.header("origin")
        if origin and not self._allows(origin):
            raise RequestError(
                403,
                f"pages from {origin[:200]} may not ask this node; aoshell serve --cors {ANY}, or"
                " --cors and the origin, allows it",
            )
        return self._preflight(request) if request.method == "OPTIONS" else None

    def headers(self, request: Request) -> tuple[tuple[str, str], ...]:
        """The headers that let the page that asked read the answer."""
        origin, exposed = request.header("origin"), ("access-control-expose-headers", ANY)
        if ANY in self._origins:
            return (("access-control-allow-origin", ANY), exposed)
        if origin and self._allows(origin):
            return (("access-control-allow-origin", origin), ("vary", "origin"), exposed)
        return (("vary", "origin"),)

    def _check_host(self, request: Request) -> None:
        given = [value for name, value in request.headers if name == "host"]
        if len(given) != 1:
            raise RequestError(400, "a request has one Host header")
        name = name_in(given[0])
        if not (is_loopback(name) or name in self._names or self._is_address(name)):
            raise RequestError(
                421,
                f"this node does not answer as {given[0][:200]}; aoshell serve --host ADDRESS NAME"
                " gives the names that it answers to",
            )

    def _is_address(self, name: str) -> bool:
        return self._any_address and _address(name) is not None

    def _allows(self, origin: str) -> bool:
        if ANY in self._origins or origin.lower() in self._origins:
            return True
        try:
            parts = urlsplit(origin)
        except ValueError:  # of the brackets
            return False
        return parts.scheme in ("http", "https") and is_loopback(name_in(parts.netloc))

    def _preflight(self, request: Request) -> Response:
        wanted = request.header("access-control-request-headers")
        headers = [
            *self.headers(request),
            ("access-control-allow-methods", _METHODS),
            # "*" does not cover Authorization, so name the headers that were asked for.
            ("access-control-allow-headers", wanted or ANY),
            ("access-control-max-age", str(PREFLIGHT_SECONDS)),
        ]
        if request.header("access-control-request-private-network") == "true":
            headers.append(("access-control-allow-private-network", "true"))
        return Response(204, tuple(headers))


def refuse_other_pages(request: Request, why: str) -> None:
    """Refuse a request that another site's page caused without `Origin`, for an image or a script.

    A request with `Origin` has passed the `Guard`.

    Raises:
        RequestError: 403, with `why`.
    """
    if request.header("sec-fetch-site") not in _OWN_PAGE and not request.header("origin"):
        raise RequestError(403, why)


def has_token(request: Request, token: str) -> bool:
    """Whether a request has the token in Authorization, as `Bearer TOKEN`. Takes constant time."""
    kind, _, given = request.header("authorization").partition(" ")
    return kind.lower() == "bearer" and hmac.compare_digest(
        given.strip().encode("latin-1"), token.encode()
    )


def name_in(host: str) -> str:
    """The name or address in a Host header or an origin, without its port.

    It is "" where anything but a port follows the name.
    """
    found = _HOST.fullmatch(host.strip().lower())
    return (found[1] or found[2]).rstrip(".") if found else ""


def _address(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(name)
    except ValueError:
        return None


def is_loopback(name: str) -> bool:
    """Whether a name or address always leads to this machine, without a look-up (RFC 6761)."""
    address = _address(name)
    if address is not None:
        return address.is_loopback
    return name == "localhost" or name.endswith(".localhost")
