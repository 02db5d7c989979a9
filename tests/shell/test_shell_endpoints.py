"""Which node the flags, the environment and the config file choose."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys

import pytest
from shell_fake import FakeBackend
from shell_remote import MODULE, URL, FakeRemote
from test_shell_cli import environment

from aoshell import backends, cli
from aoshell.home.endpoints import Endpoints
from aoshell.home.folders import Settings
from aoshell.nodes.remote.hyperbeam.publishing import AOS_MODULE
from aoshell.protocol.wallet import Wallet
from aoshell.shell.start import Key


def test_the_book_knows_what_lives_where(home: Settings) -> None:
    from aoshell.nodes.remote.memory import Book

    assert backends._elsewhere(home, "counter") is None
    book = Book(home.state / "remote.db")
    book.put(URL, "process", "P" * 43, {"name": "counter", "device": "lua@5.3a"})
    book.put("http://mu", "process", "Q" * 43, {"name": "it's"})
    book.put(URL, "module", "M" * 43, {"name": "code"})
    book.close()
    for reference in ("counter", "P" * 43):
        assert backends._elsewhere(home, reference) == (URL, f"--node {URL}")
    assert backends._elsewhere(home, "it's") == ("http://mu", "--profile of that network")
    assert backends._elsewhere(home, "code") is None
    (home.state / "remote.db").write_bytes(b"no database at all" * 100)
    assert backends._elsewhere(home, "counter") is None


@pytest.mark.parametrize(
    ("kind", "module", "found"),
    [
        ("hyperbeam", MODULE, MODULE),
        ("hyperbeam", "", AOS_MODULE),
        ("legacynet", MODULE, MODULE),
        ("legacynet", "", ""),
    ],
)
def test_a_node_knows_the_module_that_the_user_named(
    home: Settings, wallet: Wallet, kind: str, module: str, found: str
) -> None:
    async def key() -> Wallet:
        return wallet

    async def body() -> None:
        at = Endpoints(kind=kind, node=URL, mu=URL, cu=URL, su=URL, module=module)
        node = backends.remote_node(at, home, key, "")
        try:
            assert node.remote and await node.remote.default_module() == found
        finally:
            await node.close()

    asyncio.run(body())


@pytest.fixture
def dialled(monkeypatch: pytest.MonkeyPatch, wallet: Wallet) -> list[tuple[Endpoints, str]]:
    """Endpoints that the command line has opened; a node in memory answers there."""
    seen: list[tuple[Endpoints, str]] = []

    def made(endpoints: Endpoints, _: Settings, __: Key, verify: str) -> FakeRemote:
        seen.append((endpoints, verify))
        node = FakeRemote("default", "NAME")
        node.module = endpoints.module
        node.own(wallet.address)
        return node

    monkeypatch.setattr(backends, "remote_node", made)
    for name in ("AO_URL", "MU_URL", "CU_URL", "SU_URL", "SCHEDULER", "AUTHORITY", "AOS_MODULE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("GATEWAY_URL", raising=False)
    return seen


Dialled = list[tuple[Endpoints, str]]


@pytest.mark.usefixtures("home")
def test_the_node_of_the_flags(dialled: Dialled, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--node", f"{URL}/", "--verify", "on", "--run", "1+1"]) == 0
    assert (dialled[0][0].node, dialled[0][1]) == (URL, "on")
    said = capsys.readouterr()
    assert said.out == "2\n" and f"on {URL} (hyperbeam, by --node)" in said.err


@pytest.mark.parametrize(
    ("flags", "hosts"),
    [
        (["--node", "http://node.example:8734"], "node.example:8734"),
        (["--node", URL, "--gateway-url", "http://gate.example"], "gate.example"),
        (
            ["--mu-url", "http://a.example", "--cu-url", URL, "--su-url", "http://b.example"],
            "a.example, b.example",
        ),
        (["--node", URL], ""),
        (["--node", "http://localhost:8734"], ""),
        (["--node", "local", "--gateway-url", "http://gate.example"], "gate.example"),
        (["--node", "local", "--gateway-url", "http://127.0.0.1:1"], ""),
    ],
)
@pytest.mark.parametrize("listing", [False, True])
@pytest.mark.usefixtures("home", "dialled")
def test_what_is_not_encrypted_is_warned_of_once(
    capsys: pytest.CaptureFixture[str], flags: list[str], hosts: str, listing: bool
) -> None:
    hosts = "" if listing and "local" in flags else hosts  # then nobody is asked
    assert cli.main([*flags, *(["--list"] if listing else ["--run", "1+1", "--run", "2+2"])]) == 0
    said = capsys.readouterr().err
    assert said.count("is not encrypted") == bool(hosts)
    assert f"http:// to {hosts} is not encrypted" in said or not hosts


@pytest.mark.usefixtures("home")
def test_legacy_does_not_swallow_a_name(
    dialled: Dialled, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["--legacy", "NAME", "--json", "--run", "1+1"]) == 0
    assert dialled[0][0].kind == "legacynet"
    said = capsys.readouterr()
    assert json.loads(said.out)["process"].startswith("1NNN")


def test_the_file_and_the_environment(
    home: Settings,
    dialled: Dialled,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    home.config.mkdir()
    scheduler = "S" * 43
    keys = f'node = "{URL}"\nmodule = "{MODULE}"\nscheduler = "{scheduler}"'
    (home.config / "config.toml").write_text(f'profile = "x"\n[profiles.x]\n{keys}')
    assert cli.main(["fresh", "--run", "1+1"]) == 0
    said = capsys.readouterr().err
    assert "by the profile x" in said and MODULE in said and f"scheduler  {scheduler}" in said
    monkeypatch.setenv("AO_URL", "http://other")
    assert cli.main(["--run", "1+1"]) == 0
    assert [endpoints.node for endpoints, _ in dialled] == [URL, "http://other"]
    (home.config / "config.toml").write_text("profile")
    assert cli.main(["--run", "1+1"]) == 1
    assert "config.toml" in (error := capsys.readouterr().err) and "line 1" in error


@pytest.mark.usefixtures("home", "dialled")
def test_list_of_a_remote(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--node", URL, "--list"]) == 0
    assert "MODULE" in (shown := capsys.readouterr().out) and "NAME" in shown
    assert cli.main(["--node", URL, "--list", "--json"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--verify", "on", "--run", "1"], "--verify goes with --node URL"),
        (["--verify", "maybe"], "--verify"),
        (["--watch", "x", "--run", "1"], "--watch only follows, and --run"),
        (["--watch", "x", "--json"], "--json does not go"),
        (["--watch", "x", "--list"], "--list does not go"),
        (["--watch", "x", "y"], "y does not go"),
        (["--watch", ""], "it is empty"),
        (["--node", ""], "it is empty"),
        (["--node", "nosuch", "--run", "1"], "no profile nosuch"),
        (["--scheduler", "x", "--run", "1"], "--scheduler is not for"),
        (["--mu-url", "http://x", "--run", "1"], "but its CU is not set"),
    ],
)
@pytest.mark.usefixtures("home", "dialled")
def test_flags_misused(capsys: pytest.CaptureFixture[str], arguments: list[str], said: str) -> None:
    assert cli.main(arguments) == 2
    assert said in capsys.readouterr().err


@pytest.mark.usefixtures("home")
def test_help_is_short(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--help"], FakeBackend()) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) <= 45 and max(map(len, lines)) <= 100


def test_every_flag_of_the_network_is_there() -> None:
    from aoshell.home.endpoints import FLAGS
    from aoshell.shell.flags.arguments import parse_arguments

    given = [part for flag in FLAGS.values() for part in (flag, "x")]
    assert parse_arguments(given).network == dict.fromkeys(FLAGS, "x")
    assert parse_arguments(["--legacy", "--profile", "p"]).network == {
        "legacy": "--legacy",
        "profile": "p",
    }


@pytest.mark.parametrize("id_", ["-" + "q" * 42, "--" + "q" * 41, "-r" + "u" * 41])
def test_an_id_that_begins_as_a_flag_is_an_id(id_: str) -> None:
    from aoshell.shell.flags.arguments import parse_arguments

    assert parse_arguments([id_, "--node", "local"]).reference == id_
    assert parse_arguments(["--node", "local", id_]).reference == id_
    assert parse_arguments(["name", "--module", id_]).module == id_
    assert parse_arguments(["--watch", id_]).watch == id_
    pairs = parse_arguments(["--tag-name", "Module", "--tag-value", id_, "--run", "1+1"]).pairs
    assert pairs == [("Module", id_)]


@pytest.mark.parametrize("rest", [("-" + "q" * 42,), ("--timeout",)])
def test_errors_name_an_id_as_it_was_given(
    rest: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    from aoshell.shell.flags.arguments import parse_arguments

    id_ = "-" + "q" * 42
    with pytest.raises(SystemExit):
        parse_arguments([*rest, id_])
    told = capsys.readouterr().err
    assert id_ in told and "\0" not in told


@pytest.mark.parametrize("kind", ["hyperbeam", "legacynet"])
def test_real_nodes_are_made_of_endpoints(home: Settings, wallet: Wallet, kind: str) -> None:
    endpoints = Endpoints(kind, *(f"http://{name}.example" for name in ("n", "mu", "cu", "su")))

    async def key() -> Wallet:
        return wallet

    async def run() -> None:
        node = backends.remote_node(endpoints, home, key, None)
        assert (node.local, node.remote, node.stage) == (None, node, None)
        await node.close()

    asyncio.run(run())
    assert (home.state / "remote.db").exists()


def test_a_local_start_pays_for_no_network(home: Settings) -> None:
    code = (
        # On a busy machine its answer may take so long that the wait for it is told.
        "import sys; from aoshell.shell.lines import batch; batch._LOOKED_AT = 60;"
        "from aoshell.cli import main; main(['--run', '1+1']);"
        "print([m for m in ('httpx', 'tomllib', 'aoshell.home.endpoints', 'http_sf',"
        " 'aoshell.protocol.httpsig', 'lupa', 'wasmtime', 'uvicorn', 'prompt_toolkit',"
        " 'aoshell.shell.view.waiting') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
        env=environment(home),
        check=True,
    )
    assert done.stdout == "2\n[]\n" and os.environ
