"""Who answers at a URL, for errors: the endpoint, the host it redirected to, or a proxy."""

from __future__ import annotations

from urllib.parse import urlsplit

from aoshell.protocol.url import host_of, is_loopback


def proxy_of(url: str) -> str:
    """The proxy that the environment names for a URL, "" for none. Loopback never has one."""
    from urllib.request import getproxies, proxy_bypass

    parts = urlsplit(url)
    proxies = getproxies()
    named = proxies.get(parts.scheme) or proxies.get("all", "")
    if not named or is_loopback(url) or proxy_bypass(parts.hostname or ""):
        return ""
    return named if "://" in named else f"http://{named}"


def place(endpoint: str, url: str) -> str:
    """Who answers at a URL, for errors.

    The endpoint, or the host of a redirect; and the proxy, if there is one.
    """
    inside = url == endpoint or url.startswith((endpoint + "/", endpoint + "?"))
    who = endpoint if inside else f"{urlsplit(url).scheme}://{host_of(url)}"
    proxy = proxy_of(url)
    return f"{who} (through the proxy {host_of(proxy)})" if proxy else who
