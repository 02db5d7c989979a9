"""The way to an endpoint: whether it leaves this machine, and which proxy it takes."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv6Address, ip_address
from urllib.parse import urlsplit


def host_of(url: str) -> str:
    """Host and port of a URL, without what identifies a user there."""
    return urlsplit(url).netloc.rpartition("@")[2]


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


def proxy_of(url: str) -> str:
    """The proxy that the environment names for a URL, "" for none; loopback never has one."""
    from urllib.request import getproxies, proxy_bypass

    parts = urlsplit(url)
    proxies = getproxies()
    named = proxies.get(parts.scheme) or proxies.get("all", "")
    if not named or is_loopback(url) or proxy_bypass(parts.hostname or ""):
        return ""
    return named if "://" in named else f"http://{named}"


def place(endpoint: str, url: str) -> str:
    """Who answers at a URL, as errors name it.

    That is the endpoint that was asked, or the host that redirects led to, and the proxy before it.
    """
    inside = url == endpoint or url.startswith((endpoint + "/", endpoint + "?"))
    who = endpoint if inside else f"{urlsplit(url).scheme}://{host_of(url)}"
    proxy = proxy_of(url)
    return f"{who} (through the proxy {host_of(proxy)})" if proxy else who


def unprotected(urls: Iterable[str]) -> str:
    """A warning that names the hosts to which nothing is encrypted, "" where all is."""
    open_ = dict.fromkeys(
        host_of(url) for url in urls if urlsplit(url).scheme == "http" and not is_loopback(url)
    )
    if not open_:
        return ""
    return (
        f"http:// to {', '.join(open_)} is not encrypted: whoever stands between can read and "
        "change what is said"
    )
