"""Which node counts: flags, then the environment, then the file; and what is wrong, by name."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path

import pytest

from aoshell.errors import AoError, UsageError
from aoshell.home.endpoints import ENVIRONMENT, FLAGS, KEYS, Endpoints, resolve_endpoints

A, B, C, D = (f"https://{name}.example" for name in "abcd")
CONFIG = f"""
profile = "work"

[profiles.work]
node = "{A}/"
scheduler = "WWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWW"
gateway = "{D}"

[profiles.other]
node = "{B}"

[profiles.old]
kind = "legacynet"
scheduler = "OOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOO"

[profiles.own]
mu = "{A}"
cu = "{B}"
su = "{C}"
"""


WORKS, OLDS, AROUND, GIVEN, OTHER = (letter * 43 for letter in "WOEFX")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "config.toml"
    path.write_text(CONFIG)
    return path


def found(file: Path, *, env: Mapping[str, str] | None = None, **flags: str) -> Endpoints:
    return resolve_endpoints(flags, env or {}, file)


def test_one_url_of_this_machine_is_all_units(tmp_path: Path) -> None:
    """As `aoshell serve` has them. A network elsewhere has units of its own."""
    none, here = tmp_path / "none.toml", "http://127.0.0.1:4000"
    for one in (found(none, mu=here), found(none, env={"MU_URL": here}, legacy="--legacy")):
        assert (one.kind, one.mu, one.cu, one.su) == ("legacynet", here, here, here)
        assert one.sources["cu"] == one.sources["mu"] and not one.bundler
    with pytest.raises(UsageError, match="its CU is not set"):
        found(none, mu=A)
    with pytest.raises(UsageError, match="its SU is not set"):
        found(none, mu=here, cu=here)


def test_nothing_named_is_the_built_in_node(tmp_path: Path) -> None:
    none = tmp_path / "none.toml"
    nowhere = found(none)
    assert (nowhere.kind, nowhere.remote, dict(nowhere.sources)) == ("local", False, {})
    env = {
        "CU_URL": A,
        "MU_URL": B,
        "SCHEDULER": OTHER,
        "AO_URL": "undefined",
    }
    assert not found(none, env=env).remote  # they say how, not where


def test_the_file_chooses_last(file: Path) -> None:
    chosen = found(file)
    assert (chosen.kind, chosen.node, chosen.scheduler) == (
        "hyperbeam",
        A,
        WORKS,
    )
    assert chosen.sources["kind"] == "the profile work"
    assert chosen.sources["node"] == f"{file}: [profiles.work] node"
    assert chosen.sources["bundler"] == "default"
    around = found(
        file,
        env={
            "AO_URL": B,
            "SCHEDULER": AROUND,
            "AOS_MODULE": "m",
        },
    )
    assert (around.node, around.scheduler, around.module) == (
        B,
        AROUND,
        "m",
    )
    assert around.gateway == Endpoints().gateway  # of the profile that was not chosen
    assert (around.sources["kind"], around.sources["scheduler"]) == ("AO_URL", "SCHEDULER")
    flag = found(
        file,
        env={"AO_URL": B, "SCHEDULER": AROUND},
        node=C,
        scheduler=GIVEN,
    )
    assert (flag.node, flag.scheduler, flag.sources["node"]) == (
        C,
        GIVEN,
        "--node",
    )


def test_a_profile_that_a_flag_names_outranks_the_environment(file: Path) -> None:
    env = {"AO_URL": C, "SCHEDULER": AROUND}
    for flags in ({"node": "work"}, {"profile": "work"}):
        named = found(file, env=env, **flags)
        assert (named.node, named.scheduler) == (A, WORKS)
    other = found(file, env=env, profile="other", gateway=D)
    assert (other.node, other.scheduler, other.gateway) == (
        B,
        AROUND,
        D,
    )


@pytest.mark.parametrize("flags", [{"node": "local"}, {"profile": "local"}])
def test_the_built_in_node_by_name(file: Path, flags: dict[str, str]) -> None:
    here = found(file, env={"AO_URL": C}, **flags)
    assert (here.kind, here.node, here.sources["kind"]) == ("local", "", "--node local")
    file.write_text('profile = "local"\n[profiles.x]\nnode = "https://x"')
    assert found(file).kind == "local"


def test_the_legacy_network(file: Path) -> None:
    public = found(file, env={"AO_URL": C, "CU_URL": B}, legacy="--legacy")
    assert public.kind == "legacynet" and public.mu.startswith("https://mu.") and public.cu == B
    assert public.scheduler and public.authority and public.sources["mu"] == "default"
    assert found(file, profile="old").scheduler == OLDS
    own = found(file, node="own")
    assert (own.mu, own.cu, own.su, own.scheduler, own.bundler) == (A, B, C, "", "")
    assert found(file, mu=D, cu=D, su=D).kind == "legacynet"
    file.write_text(CONFIG.replace('profile = "work"', 'profile = "own"'))
    assert found(file, legacy="--legacy").mu == A


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ({"node": A, "profile": "work"}, "--node and --profile"),
        ({"node": A, "legacy": ""}, "--node is not for a node of kind legacynet"),
        ({"node": A, "mu": B}, "--node is not for"),
        ({"profile": "work", "cu": B}, "--cu-url, but the profile work is of kind hyperbeam"),
        ({"node": "local", "legacy": ""}, "--legacy, but the node chosen is the built-in one"),
        ({"node": "local", "scheduler": "x"}, "--scheduler is not for a node of kind local"),
        ({"node": "nosuch"}, "there is no profile nosuch"),
        ({"node": "localhost:8734"}, "there is no profile localhost:8734"),
        ({"node": "ftp://x"}, "--node: 'ftp://x' is not the URL"),
        ({"node": "http://x:99999"}, "is not the URL"),
        ({"node": "http://"}, "is not the URL"),
        ({"node": f"{A}?x=1"}, "is not the URL"),
        ({"node": "https://me:secret@x"}, "--node: it is not the URL"),
        ({"mu": A}, "--mu-url names another network, but its CU is not set"),
        ({"mu": A, "cu": A}, "but its SU is not set"),
    ],
)
def test_flags_that_cannot_be(file: Path, flags: dict[str, str], said: str) -> None:
    with pytest.raises(UsageError) as caught:
        found(file, **flags)
    assert said in caught.value.what and caught.value.hint is not None
    assert "secret" not in str(caught.value)


def test_what_stands_in_the_environment(file: Path) -> None:
    with pytest.raises(AoError, match=r"GATEWAY_URL: 'arweave.net' is not the URL") as caught:
        found(file, env={"GATEWAY_URL": "arweave.net"})
    assert caught.value.stage == "environment" and not isinstance(caught.value, UsageError)


@pytest.mark.parametrize(
    ("content", "said", "allowed"),
    [
        ('profile = "x', "(at line 1, the end)", "TOML"),
        ("\n\nprofile = x\n", "(at line 3, column 11)", "TOML"),
        ("a" * 5, "(at line 1", "TOML"),
        ("x = 1", "x: is not known there", "profile, profiles"),
        ("profile = 7", "profile: there is no profile 7", "local"),
        ('profile = ["a"]', "profile: ", "local"),
        ('profile = "no"\n[profiles.yes]\nnode = "https://x"', "no profile 'no'", "yes, local"),
        ("profiles = 1", "profiles: is not a table", "[profiles.NAME]"),
        ("[profiles]\nx = 1", "[profiles.x]: is not a profile", "a table"),
        ('[profiles.local]\nnode = "https://x"', "[profiles.local]", "any name but local"),
        ("[profiles.x]", "[profiles.x]: names no node", "node = "),
        ("[profiles.x]\nnode = 7", "[profiles.x] node: 7 is not text", "quotes"),
        ('[profiles.x]\nnode = ""', "[profiles.x] node: '' is not text", "quotes"),
        ('[profiles.x]\nnod = "https://x"', "[profiles.x] nod", "kind, startup, node, mu"),
        ('[profiles.x]\nkind = "solana"', "[profiles.x] kind", "hyperbeam or legacynet"),
        ('[profiles.x]\nnode = "https://x"\nmu = "https://x"', "[profiles.x] node", "mu, cu"),
    ],
)
def test_a_broken_file_is_named(tmp_path: Path, content: str, said: str, allowed: str) -> None:
    file = tmp_path / "config.toml"
    file.write_text(content)
    with pytest.raises(AoError) as caught:
        found(file)
    error = caught.value
    assert error.stage == "config" and str(file) in error.what, error
    assert said in error.what and allowed in error.hint, error
    assert not found(file, node="local").remote  # the way around it


def test_a_value_of_the_file_that_cannot_be_used(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text('profile = "x"\n[profiles.x]\nnode = "node.example"')
    with pytest.raises(AoError, match=r"\[profiles.x\] node: 'node.example' is not the URL"):
        found(file)


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_bytes(b'profile = "x"\n# \xff\n')
    with pytest.raises(AoError, match="at line 2"):
        found(file)
    file.write_text("x = " + "[" * 100_000)
    with pytest.raises(AoError, match="config"):
        found(file)


def test_every_combination_resolves_or_is_an_error(file: Path) -> None:
    flags = {
        "node": A,
        "profile": "own",
        "legacy": "",
        "mu": B,
        "scheduler": OTHER,
    }
    env = {"AO_URL": C, "CU_URL": D}
    for count in range(len(flags) + 1):
        for chosen in itertools.combinations(flags, count):
            for around in ({}, env):
                try:
                    got = resolve_endpoints({key: flags[key] for key in chosen}, around, file)
                except UsageError:
                    continue
                assert set(got.sources) <= {"kind", *KEYS}
                assert got.node if got.kind == "hyperbeam" else got.mu


def test_every_value_has_its_names() -> None:
    assert set(ENVIRONMENT) | {"bundler"} == set(KEYS)
    assert set(FLAGS) | {"bundler", "module"} == set(KEYS)


@pytest.mark.parametrize(
    ("key", "value", "fine"),
    [
        ("scheduler", "short", False),
        ("scheduler", "S" * 43, True),
        ("authority", f"{'A' * 43}, {'B' * 43}", True),
        ("authority", f"{'A' * 43},x", False),
    ],
)
def test_addresses_are_addresses(file: Path, key: str, value: str, fine: bool) -> None:
    if fine:
        assert getattr(found(file, node=A, **{key: value}), key) == value
    else:
        with pytest.raises(UsageError, match="is not an address"):
            found(file, node=A, **{key: value})
