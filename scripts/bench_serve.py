"""`aoshell serve` over loopback, compared with wao's local network if npm has it."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from aoshell.home.folders import Settings
from aoshell.protocol.ans104 import DataItem
from aoshell.protocol.message import tags_of
from aoshell.protocol.wallet import Wallet

REPO = Path(__file__).resolve().parents[1]
ENTRY = "import sys; from aoshell.entry import main; sys.exit(main())"
WAO = "wao@0.35.7"
MODULE = "ISShJH1ij-hPPt9St5UFFr_8Ys3Kj5cyg7zrMGt7H9s"  # both networks know it
SCHEDULER = "_GQ33BkPtZrqxA84vM8Zk-N2aO0toNNu_C-l-rawrBA"
Summary = Callable[[list[float]], dict[str, float]]


class Units:
    """The units of a network, by the ports of MU and CU."""

    def __init__(self, mu: int, cu: int, wallet: Wallet, module: str = MODULE) -> None:
        self.mu, self.cu, self._wallet = mu, cu, wallet
        definition = self.item(
            "", " ", Type="Process", Module=module, Scheduler=SCHEDULER, Name="p"
        )
        self.process = definition.id
        ask(connect(mu), "POST", "/", definition.raw)

    def item(self, target: str, data: str, **tags: str) -> DataItem:
        pairs = (*tags.items(), ("Data-Protocol", "ao"), ("Variant", "ao.TN.1"))
        return DataItem.sign(self._wallet, target, tags_of(pairs), data.encode())

    def lines(self, count: int) -> list[DataItem]:
        """Signed lines, made before the clock runs: a signature takes longer than an answer."""
        return [self.item(self.process, "1+1", Type="Message", Action="Eval") for _ in range(count)]

    def exchange(self, lines: list[DataItem]) -> list[float]:
        """Seconds of `POST /` and `GET /result`, one after the other on one connection."""
        mu, cu = connect(self.mu), connect(self.cu)
        times = []
        for line in lines:
            start = time.perf_counter()
            ask(mu, "POST", "/", line.raw)
            ask(cu, "GET", f"/result/{line.id}?process-id={self.process}")
            times.append(time.perf_counter() - start)
        self.last = lines[-1].id
        return times

    def reads(self, path: str, count: int) -> float:
        """Reads a second on one connection."""
        cu = connect(self.cu)
        start = time.perf_counter()
        for _ in range(count):
            ask(cu, "GET", path)
        return round(count / (time.perf_counter() - start), 1)

    def crowd(self, clients: int, count: int) -> float:
        """Exchanges a second of many clients."""
        lines = [self.lines(count) for _ in range(clients)]
        threads = [threading.Thread(target=self.exchange, args=(own,)) for own in lines]
        start = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return round(clients * count / (time.perf_counter() - start), 1)


def connect(port: int) -> http.client.HTTPConnection:
    return http.client.HTTPConnection("127.0.0.1", port, timeout=120)


def ask(
    on: http.client.HTTPConnection,
    method: str,
    path: str,
    body: bytes | None = None,
    *,
    largest: int = 16 << 20,
) -> bytes:
    on.request(method, path, body, {"content-type": "application/octet-stream"} if body else {})
    answer = on.getresponse()
    content = answer.read(largest)
    if answer.status >= 300:
        raise RuntimeError(f"{method} {path}: {answer.status} {content[:200]!r}")
    return content


def serve(wallet: Wallet, folder: Path, summary: Summary) -> dict[str, Any]:
    """Times of starts, exchanges and reads."""
    make_home(folder / "home", wallet)
    starts = []
    for _ in range(5):
        begun = time.perf_counter()
        with aoshell():
            starts.append(time.perf_counter() - begun)
    with aoshell() as facts:
        units = Units(facts["port"], facts["port"], wallet)
        units.exchange(units.lines(20))
        exchanges = units.exchange(units.lines(300))
        process, result = units.process, f"/result/{units.last}?process-id={units.process}"
        report: dict[str, Any] = {
            "start": summary(starts),
            "post_and_result": summary(exchanges) | {"per_s": round(300 / sum(exchanges), 1)},
            "post_and_result_20_clients_per_s": units.crowd(20, 20),
            "result_per_s": units.reads(result, 2000),
            "results_page_per_s": units.reads(f"/results/{process}?sort=DESC&limit=5", 500),
            "compute_per_s": units.reads(
                f"/{process}~process@1.0/compute&slot=1/results/data", 500
            ),
        }
    beside = wao(wallet, folder / "wao", summary)
    if "post_and_result" in beside:
        theirs = beside["post_and_result"]["median_ms"]
        report["times_wao"] = round(theirs / report["post_and_result"]["median_ms"], 1)
    return report | {"wao": beside}


def make_home(home: Path, wallet: Wallet) -> None:
    """Make the home to serve; its node has a key already."""
    os.environ["AOSHELL_HOME"] = str(home)
    settings = Settings.find()
    settings.make_folders()
    settings.node_key.write_text(json.dumps(wallet.jwk()))


@contextlib.contextmanager
def aoshell() -> Iterator[dict[str, Any]]:
    """`aoshell serve` on a port that is free."""
    command = [sys.executable, "-c", ENTRY, "serve", "--port", "0", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=REPO, text=True) as running:
        assert running.stdout is not None
        try:
            yield json.loads(running.stdout.readline(1 << 20)) | {"pid": running.pid}
        finally:
            running.send_signal(signal.SIGTERM)
            running.wait(30)


def has_npm() -> bool:
    """Whether packages of npm can be installed and run here."""
    return bool(shutil.which("npm") and shutil.which("node"))


def install_wao(folder: Path) -> bool:
    """Install wao in a folder; whether npm has it."""
    (folder / "package.json").write_text('{"private": true}')
    install = ["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--silent", WAO]
    return not subprocess.run(install, cwd=folder, capture_output=True, check=False).returncode


def wao(wallet: Wallet, folder: Path, summary: Summary) -> dict[str, Any]:
    """The same for wao's local network, or why it cannot be measured."""
    folder.mkdir()
    if not has_npm():
        return {"skipped": "no npm"}
    if not install_wao(folder):
        return {"skipped": f"npm does not have {WAO}"}
    driver = REPO / "tests/nodes/wao_network.mjs"
    command = ["node", "--experimental-wasm-memory64", str(driver), str(folder)]
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, cwd=folder, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True
    ) as running:
        assert running.stdout is not None and running.stdin is not None
        try:
            line = ""
            while not line.startswith("{"):
                line = running.stdout.readline(1 << 20)
            ports = json.loads(line)
            units = Units(ports["mu"], ports["cu"], wallet)
            units.exchange(units.lines(3))
            exchanges = units.exchange(units.lines(20))
            per_s = round(20 / sum(exchanges), 1)
            return {"post_and_result": summary(exchanges) | {"per_s": per_s}}
        finally:
            running.kill()
