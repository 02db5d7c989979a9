"""Whether a URL leads off this machine, and whether the connection is encrypted."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv6Address, ip_address
from urllib.parse import urlsplit


def host_of(url: str) -> str:
    """Host and port of a URL, without user name and password."""
    return urlsplit(url).netloc.rpartition("@")[2]


def is_host(name: str) -> bool:
    """Whether a look-up takes a name of a host: no empty or overlong part, not in other scripts
    either (RFC 5890)."""
    try:
        name.encode("idna")
    except UnicodeError:
        return False
    return bool(name)


def is_web_url(url: str) -> bool:
    """Whether a text is a URL of http or https with a host that can be looked up."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:  # of the brackets or the port
        return False
    is_web = parts.scheme in ("http", "https") and port != 0 and is_host(parts.hostname or "")
    return is_web and url.isprintable()


def is_loopback(url: str) -> bool:
    """Whether a URL leads to this machine itself: localhost, 127.0.0.0/8 or ::1."""
    host = (urlsplit(url).hostname or "").rstrip(".")
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return (mapped or address).is_loopback


def unprotected(urls: Iterable[str]) -> str:
    """A warning that names the hosts with unencrypted connections, "" if there are none."""
    open_ = dict.fromkeys(
        host_of(url) for url in urls if urlsplit(url).scheme == "http" and not is_loopback(url)
    )
    if not open_:
        return ""
    return (
        f"http:// to {', '.join(open_)} is not encrypted: anybody on the way can read and change "
        "the messages"
    )
