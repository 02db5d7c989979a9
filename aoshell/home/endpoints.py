"""Chooses the node: endpoints from flags, environment variables and the config file, in that order.

The config file is TOML:

    profile = "work"                     # where neither flag nor environment names a node

    [profiles.work]
    node = "https://router.example"      # a HyperBEAM node
    startup = true                       # the prompt's start-up files may send messages there

    [profiles.old]
    kind = "legacynet"                   # with mu, cu and su, or the public ones
    scheduler = "…"

Values of a profile that a flag names count as flags; those of the file's default profile come last.
If nothing names a node, the built-in one is used.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeAlias

from aoshell.errors import AoError, UsageError
from aoshell.home.configfile import KEYS as KEYS_OF_FILE
from aoshell.home.configfile import read_config

LOCAL, HYPERBEAM, LEGACY = "local", "hyperbeam", "legacynet"

UNITS = ("mu", "cu", "su")
_ADDRESS = re.compile(r"[A-Za-z0-9_-]{43}\Z")
_COMMON = ("gateway", "bundler", "scheduler", "authority", "module")
STARTUP = "startup"
KEYS = ("node", *UNITS, *_COMMON)
_URLS = frozenset(("node", *UNITS, "gateway", "bundler"))
_COUNTS = {
    LOCAL: frozenset({"gateway"}),
    HYPERBEAM: frozenset(("node", *_COMMON)),
    LEGACY: frozenset((*UNITS, *_COMMON)),
}

FLAGS = {
    "node": "--node",
    "mu": "--mu-url",
    "cu": "--cu-url",
    "su": "--su-url",
    "gateway": "--gateway-url",
    "scheduler": "--scheduler",
    "authority": "--authority",
}
ENVIRONMENT = {
    "node": "AO_URL",
    "mu": "MU_URL",
    "cu": "CU_URL",
    "su": "SU_URL",
    "gateway": "GATEWAY_URL",
    "scheduler": "SCHEDULER",
    "authority": "AUTHORITY",
    "module": "AOS_MODULE",
}
# The public network. Scheduler and authority are those of its MU, which its clients use by default.
PUBLIC = {
    "mu": "https://mu.ao-testnet.xyz",
    "cu": "https://cu.ao-testnet.xyz",
    "su": "https://su-router.ao-testnet.xyz",
    "scheduler": "_GQ33BkPtZrqxA84vM8Zk-N2aO0toNNu_C-l-rawrBA",
    "authority": "fcoN_xJeisVsPXA-trzVAuIiqO3ydLQxM-L4XbrQKzY",
}
_GATEWAY, _BUNDLER = "https://arweave.net", "https://up.arweave.net"
_UNSET = frozenset({"", "undefined"})  # "undefined" comes from JavaScript's tools
_EXAMPLE = "like https://node.example or http://localhost:8734, without a password"
# Hints for flags that do not fit the chosen node.
_GOES = {
    "node": "--legacy has three endpoints: --mu-url --cu-url --su-url",
    **dict.fromkeys(UNITS, "it goes with --legacy"),
    **dict.fromkeys(("scheduler", "authority"), "it goes with --node URL or --legacy"),
}


@dataclass(frozen=True, slots=True)
class Endpoints:
    """The endpoints that the shell uses.

    Attributes:
        kind: "local", "hyperbeam" or "legacynet".
        node: URL of a HyperBEAM node.
        mu, cu, su: URLs of the units of a legacy network.
        gateway, bundler: URLs that code is fetched from and published to; "" means no publishing.
        scheduler, authority, module: of new processes, "" for the node's own.
        startup: whether start-up files may send messages to it.
        sources: the origin of each value, by name: a flag, a variable, a table of the file, or
            "default". `sources["kind"]` is what chose the node; it is missing if nothing did.
    """

    kind: str = LOCAL
    node: str = ""
    mu: str = ""
    cu: str = ""
    su: str = ""
    gateway: str = _GATEWAY
    bundler: str = ""
    scheduler: str = ""
    authority: str = ""
    module: str = ""
    startup: bool = False
    sources: Mapping[str, str] = field(default_factory=dict)

    @property
    def urls(self) -> tuple[str, ...]:
        """The URLs of all endpoints."""
        names = (self.node, self.mu, self.cu, self.su, self.gateway, self.bundler)
        return tuple(filter(None, names))

    @property
    def remote(self) -> bool:
        return self.kind != LOCAL


@dataclass(frozen=True, slots=True)
class _Value:
    """A value, its origin, and the stage of errors about it."""

    text: str
    source: str
    stage: str


_Layer: TypeAlias = Mapping[str, _Value]


@dataclass(frozen=True, slots=True)
class _Choice:
    """A kind of node, what chose it, and where to look up its values, first to last.

    Attributes:
        startup: whether start-up files may send messages to it.
    """

    kind: str
    source: str
    layers: tuple[_Layer, ...]
    startup: bool = False


@dataclass(frozen=True, slots=True)
class _Config:
    """The config file: its profiles by name, and the name of its default profile."""

    path: Path
    default: str
    profiles: Mapping[str, _Choice]

    def named(self, name: str) -> _Choice:
        """The choice of a profile. Raises UsageError if there is no such profile."""
        if name in self.profiles:
            return self.profiles[name]
        known = ", ".join(self.profiles) or "none"
        raise UsageError(
            f"there is no profile {name}", hint=f"{self.path} has: {known}; a URL is {_EXAMPLE}"
        )


def resolve_endpoints(
    flags: Mapping[str, str], environment: Mapping[str, str], file: Path
) -> Endpoints:
    """The endpoints to use.

    Args:
        flags: the values given, by key of `FLAGS`; also "profile" (a name) and "legacy" (any
            text). "node" may be a URL, a profile's name or "local".
        file: the config file, which need not exist.

    Raises:
        UsageError: flags contradict each other, or there is no such profile.
        AoError: stage "config" or "environment": a value cannot be used.
    """
    name = _name(flags)
    given = {key: _Value(text, FLAGS[key], "usage") for key, text in flags.items() if key in FLAGS}
    if name and "node" in given:
        del given["node"]  # no URL
    choice = _choose(name, flags, given, _from_environment(environment), file)
    for key in given.keys() - _COUNTS[choice.kind]:
        raise UsageError(f"{FLAGS[key]} is not for a node of kind {choice.kind}", hint=_GOES[key])
    found = {
        key: _checked(key, value)
        for key in _COUNTS[choice.kind]
        if (value := next((layer[key] for layer in choice.layers if key in layer), None))
    }
    own = choice.kind == LEGACY and not _is_public(found)
    if choice.kind != LOCAL and not own:
        found.setdefault("bundler", _Value(_BUNDLER, "default", "config"))
    sources = {key: value.source for key, value in found.items()}
    if choice.source:
        sources["kind"] = choice.source
    texts = {key: value.text for key, value in found.items()}
    return Endpoints(choice.kind, startup=choice.startup, sources=sources, **texts)


def _name(flags: Mapping[str, str]) -> str:
    """The name of the profile that the flags choose, "local", or ""."""
    node, profile = flags.get("node", ""), flags.get("profile", "")
    if node and profile:
        raise UsageError("--node and --profile both choose a node", hint="give one of them")
    return profile if "://" in node else node or profile


def _from_environment(environment: Mapping[str, str]) -> _Layer:
    named = ((key, name, environment.get(name, "")) for key, name in ENVIRONMENT.items())
    return {
        key: _Value(text, name, "environment") for key, name, text in named if text not in _UNSET
    }


def _choose(
    name: str, flags: Mapping[str, str], given: _Layer, around: _Layer, file: Path
) -> _Choice:
    """The kind of node, and what chose it."""
    units = next((flag for flag in ("legacy", *UNITS) if flag in flags), "")
    legacy = FLAGS.get(units, "--legacy")
    if name == LOCAL and units:
        raise UsageError(f"{legacy}, but the node chosen is the built-in one", hint=_GOES["mu"])
    if name == LOCAL:
        return _Choice(LOCAL, "--node local", (given, around))
    if "node" in given and not units:
        return _Choice(HYPERBEAM, FLAGS["node"], (given, around))
    config = _read(file)
    if name:
        profile = config.named(name)
        if units and profile.kind != LEGACY:
            raise UsageError(f"{legacy}, but the profile {name} is of kind {profile.kind}")
        return replace(profile, layers=(given, *profile.layers, around))
    default = config.named(config.default) if config.default else None
    if units:
        others = default.layers if default and default.kind == LEGACY else ()
        return _Choice(LEGACY, legacy, (given, around, *others))
    if "node" in around:
        return _Choice(HYPERBEAM, ENVIRONMENT["node"], (given, around))
    if default:
        return replace(default, layers=(given, around, *default.layers))
    return _Choice(LOCAL, "", (given, around))


def _is_public(found: dict[str, _Value]) -> bool:
    """Whether it is the public legacy network; if so, fills in its other endpoints."""
    mu = found.get("mu")
    if mu is None or mu.text == PUBLIC["mu"]:
        for key, text in PUBLIC.items():
            found.setdefault(key, _Value(text, "default", "config"))
        return True
    if _serves_all(found, mu):
        found["cu"] = found["su"] = mu
    for key in ("cu", "su"):
        if key not in found:
            raise _value_error(
                f"{mu.source} names another network, but its {key.upper()} is not set",
                mu.stage,
                f"{FLAGS[key]} URL, {ENVIRONMENT[key]}, or {key} = … in a profile",
            )
    return False


def _serves_all(found: Mapping[str, _Value], mu: _Value) -> bool:
    """Whether only one URL, of this machine, is given: `aoshell serve` has all units."""
    from aoshell.protocol.url import is_loopback

    return not ({"cu", "su"} & found.keys()) and is_loopback(mu.text)


def _checked(key: str, value: _Value) -> _Value:
    """A value without the slash at its end. Raises AoError: it is neither a URL nor an address."""
    if key in ("scheduler", "authority"):
        # There may be several authorities, as in the tag.
        parts_of = value.text.split(",") if key == "authority" else [value.text]
        if not all(_ADDRESS.match(part.strip()) for part in parts_of):
            hint = "an address has 43 characters of A-Z, a-z, 0-9, - and _"
            raise _value_error(
                f"{value.source}: {value.text!r} is not an address", value.stage, hint
            )
    if key not in _URLS:
        return value
    from aoshell.protocol.url import is_web_url

    if not is_web_url(value.text) or set("?#@") & set(value.text):
        # No message, not even this one, may show a password.
        shown = repr(value.text) if "@" not in value.text else "it"
        raise _value_error(
            f"{value.source}: {shown} is not the URL of a node", value.stage, _EXAMPLE
        )
    return _Value(value.text.rstrip("/"), value.source, value.stage)


def _value_error(what: str, stage: str, hint: str) -> AoError:
    return (
        UsageError(what, hint=hint) if stage == "usage" else AoError(what, stage=stage, hint=hint)
    )


# The file ---------------------------------------------------------------------------------------


def _read(path: Path) -> _Config:
    content = read_config(path)
    _only(path, "", content, KEYS_OF_FILE)
    tables = content.get("profiles", {})
    if not isinstance(tables, dict):
        raise _file_error(path, "profiles", "is not a table", "[profiles.NAME]")
    profiles = {name: _profile(path, name, table) for name, table in tables.items()}
    default = content.get("profile", "")
    if default == LOCAL:
        default = ""
    if default != "" and (not isinstance(default, str) or default not in profiles):
        known = ", ".join((*profiles, LOCAL))
        raise _file_error(
            path, "profile", f"there is no profile {default!r}", f"it may be: {known}"
        )
    return _Config(path, default, profiles)


def _profile(path: Path, name: str, table: object) -> _Choice:
    where = f"[profiles.{name}]"
    if name == LOCAL or "://" in name or not isinstance(table, dict):
        raise _file_error(path, where, "is not a profile", f"a table of any name but {LOCAL}")
    table = dict(table)
    startup = table.pop(STARTUP, False)
    if not isinstance(startup, bool):
        raise _file_error(
            path, f"{where} {STARTUP}", f"{startup!r} is not a switch", "true or false"
        )
    _only(path, where, table, ("kind", STARTUP, *KEYS))
    for key, text in table.items():
        if not isinstance(text, str) or not text:
            raise _file_error(path, f"{where} {key}", f"{text!r} is not text", "text in quotes")
    kind = table.get("kind", LEGACY if any(unit in table for unit in UNITS) else HYPERBEAM)
    if kind not in (HYPERBEAM, LEGACY):
        raise _file_error(
            path, f"{where} kind", f"there is no {kind!r}", f"{HYPERBEAM} or {LEGACY}"
        )
    if kind == HYPERBEAM and "node" not in table:
        raise _file_error(path, where, "names no node", f'node = "URL", or kind = "{LEGACY}"')
    _only(path, where, table, ("kind", STARTUP, *(key for key in KEYS if key in _COUNTS[kind])))
    layer = {
        key: _Value(text, f"{path}: {where} {key}", "config")
        for key, text in table.items()
        if key != "kind"
    }
    return _Choice(kind, f"the profile {name}", (layer,), startup)


def _only(path: Path, where: str, table: Iterable[str], allowed: tuple[str, ...]) -> None:
    for key in table:
        if key not in allowed:
            raise _file_error(
                path, f"{where} {key}".strip(), "is not known there", ", ".join(allowed)
            )


def _file_error(path: Path, where: str, what: str, allowed: str) -> AoError:
    return AoError(f"{path}: {where}: {what}", stage="config", hint=f"allowed: {allowed}")
