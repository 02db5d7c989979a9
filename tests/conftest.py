"""Fixtures for all tests, and a guard that shared data does not go unused unnoticed."""

from __future__ import annotations

import fcntl
import gc
import itertools
import os
import shutil
import signal
from collections.abc import Generator, Iterator
from pathlib import Path

import hypothesis
import pytest
from machine_code import compile_once, folder_of_run
from rsa_keys import RsaKeys
from signers import Ed25519

from aoshell.protocol.wallet import Wallet

# How long an example takes, and how many were drawn in vain, says something about the machine and
# about chance, and nothing about the code.
STEADY = hypothesis.settings(
    deadline=None,
    suppress_health_check=[
        hypothesis.HealthCheck.too_slow,
        hypothesis.HealthCheck.filter_too_much,
        hypothesis.HealthCheck.data_too_large,
    ],
)
# Where a test says no number of examples, each run tries others.
hypothesis.settings.register_profile("steady", STEADY, max_examples=40)
hypothesis.settings.register_profile(
    "thorough", STEADY, suppress_health_check=[hypothesis.HealthCheck.too_slow], max_examples=400
)
hypothesis.settings.load_profile("steady")

REPO = Path(__file__).resolve().parents[1]
# The superuser without the right to read and write where the mode forbids it.
POWERLESS = ["setpriv", "--inh-caps=-all", "--bounding-set=-all"]
GUARD: pytest.StashKey[SharedGuard] = pytest.StashKey()


def find_shared() -> tuple[Path, str]:
    """The folder of shared data, and what is missing there ("" where it is present)."""
    named = os.environ.get("AOSHELL_SHARED")
    folder = Path(named) if named else REPO.parent / "shared"
    missing = next((p for p in (folder, folder / "vectors") if not p.is_dir()), None)
    reason = f"no shared data: {missing} is missing (AOSHELL_SHARED names the folder)"
    return folder, reason if missing else ""


@pytest.fixture(scope="session")
def shared(request: pytest.FixtureRequest) -> Path:
    """The folder of shared data (vectors, evidence), or a skip that names what is missing."""
    folder, missing = find_shared()
    if missing:
        pytest.skip(missing)
    request.config.stash[GUARD].used = True
    return folder


@pytest.fixture
def aoshell_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An AOSHELL_HOME of the test's own (not made yet), with the user's folders out of reach."""
    user, home = tmp_path / "user", tmp_path / "home"
    user.mkdir()
    for name in ("STATE", "CONFIG", "CACHE", "DATA"):
        monkeypatch.delenv(f"XDG_{name}_HOME", raising=False)
    monkeypatch.setenv("HOME", str(user))
    monkeypatch.setenv("AOSHELL_HOME", str(home))
    return home


@pytest.fixture
def powerless() -> list[str]:
    """What is put before a command, so that the modes of files bind it though root runs it."""
    if os.geteuid() != 0:
        return []
    if not shutil.which(POWERLESS[0]):
        pytest.skip("the superuser may read and write everything, and there is no setpriv")
    return POWERLESS


@pytest.fixture(scope="session", autouse=True)
def _compiled_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patched:
        compile_once(folder_of_run(tmp_path_factory), patched)
        yield


@pytest.fixture(scope="session")
def rsa_keys(tmp_path_factory: pytest.TempPathFactory) -> RsaKeys:
    """RSA-4096 keys by number."""
    return RsaKeys(tmp_path_factory)


@pytest.fixture(scope="session")
def wallet(rsa_keys: RsaKeys) -> Wallet:
    """The user's wallet."""
    return rsa_keys.wallet(0)


@pytest.fixture(scope="session")
def other_wallet(rsa_keys: RsaKeys) -> Wallet:
    """The wallet of somebody else."""
    return rsa_keys.wallet(1)


@pytest.fixture(scope="session")
def signer() -> Ed25519:
    """Who uses a local node. An RSA-4096 wallet takes a hundred times as long to sign."""
    return Ed25519()


@pytest.fixture
def known_keys(rsa_keys: RsaKeys, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wallets that are made have keys of the run: to find primes takes a second."""
    numbers = itertools.count(2)
    monkeypatch.setattr(Wallet, "generate", lambda: rsa_keys.wallet(next(numbers)))


class SharedGuard:
    """Fails a full, otherwise green run in which tests wanted shared data and none used it.

    Such a run has tested less than it says. Under xdist the workers count, and the controller sums
    up. A run of chosen tests (names, -k, -m, --lf) is not judged.
    """

    def __init__(self) -> None:
        self.wanted = self.used = self.chosen = self.failed = False

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self.wanted = any("shared" in getattr(item, "fixturenames", ()) for item in session.items)

    def pytest_deselected(self) -> None:
        self.chosen = True

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: object) -> None:
        wanted, used, chosen = getattr(node, "workeroutput", {}).get("shared", (False,) * 3)
        self.wanted |= wanted
        self.used |= used
        self.chosen |= chosen

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        output = getattr(session.config, "workeroutput", None)
        if output is not None:
            output["shared"] = (self.wanted, self.used, self.chosen)
            return
        config = session.config
        whole = config.args_source != pytest.Config.ArgsSource.ARGS and not self.chosen
        judged = whole and session.exitstatus == 0 and not config.getoption("collectonly")
        self.failed = judged and self.wanted and not self.used and not find_shared()[1]
        if self.failed:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self.failed:
            terminalreporter.section("shared data unused", red=True)
            terminalreporter.line(f"{find_shared()[0]} is there, tests ask for it, none used it")


@pytest.hookimpl(wrapper=True)
def pytest_collection(session: pytest.Session) -> Generator[None, list[pytest.Item], None]:
    """Have one worker collect before the others: these find byte code of what it has compiled."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        return (yield)
    folder = session.config._tmp_path_factory.getbasetemp().parent
    with (folder / "collected.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            fcntl.flock(lock, fcntl.LOCK_SH)
        return (yield)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest tests, so that no worker ends long after the others."""
    items.sort(key=lambda item: item.get_closest_marker("long") is None)


def pytest_collection_finish() -> None:
    """Have the collector of garbage pass over all that was imported and collected."""
    gc.enable()
    gc.collect()
    gc.freeze()


def pytest_configure(config: pytest.Config) -> None:
    # What is imported and collected stays. To look for garbage in it took a third of that time.
    gc.disable()
    # Programs that tests start must take Ctrl-C even where nohup, a CI or a script's `&` started
    # the tests and ignores it. A program inherits what is ignored, but not a handler.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, lambda *_: None)
    config.stash[GUARD] = SharedGuard()
    config.pluginmanager.register(config.stash[GUARD], "shared-guard")
