"""`aoshell attest` against a simulated node over real HTTP, and on files."""

from __future__ import annotations

import asyncio
import fcntl
import json
import signal
from pathlib import Path
from typing import Any

import pytest
from attest_command import TRUSTED, Command, of, started
from attest_node import HASHES, SimulatedNode, Wire
from der_writer import NOW
from envelope_node import SnpNode, TpmNode
from report_json import version_5
from served import served

from aoshell.attest import explaining
from aoshell.attest.collateral.kds import KdsResponse
from aoshell.attest.evidence import Collateral, load_evidence
from aoshell.home.folders import Settings
from aoshell.nodes.remote.hyperbeam.evidence import ask
from aoshell.protocol.wallet import Wallet
from aoshell.shell.attestation import command as attest_command
from aoshell.shell.attestation.judging import Wishes, judge_evidence
from aoshell.shell.attestation.pins import LIFETIME, AttestationPins, Passed
from aoshell.shell.attestation.view import warn_unprotected


@pytest.fixture(scope="module")
def node(generate_node: SimulatedNode) -> SimulatedNode:
    return generate_node


@pytest.fixture(autouse=True)
def home(aoshell_home: Path) -> Path:
    return aoshell_home


# --- a node


def test_pass(command: Command, node: SimulatedNode, home: Path) -> None:
    with node.served() as url:
        said = command(url, *command.collateral, *command.policy)
    assert (said.code, said.err) == (0, "")
    first, *lines = said.out.splitlines()
    assert first.startswith("PASS: genuine AMD hardware (Milan)") and first.endswith("just now")
    assert node.wallet.address in first and "the image" in first
    assert any(line.split()[:2] == ["report-signature", "PASS"] for line in lines)
    assert any(line.startswith("Key custody: UNKNOWN: nothing shows") for line in lines)
    assert not home.exists()


def test_an_older_node_is_challenged_by_a_question_of_its_own(
    command: Command, node: SimulatedNode
) -> None:
    class Older(SimulatedNode):
        def respond(self, path: str) -> Wire | None:
            return None if "/generate/" in path else super().respond(path)

    older = Older(node.wallet, node.line)
    with older.served() as url:
        said = command(url, *command.collateral, *command.policy, "--json")
    assert (said.code, of(said, "challenge")["status"]) == (0, "PASS")
    assert of(said, "challenge")["detail"] == "signed now, under 'body'"


def test_a_node_that_takes_no_challenge_is_inconclusive(
    command: Command, node: SimulatedNode
) -> None:
    class Mute(SimulatedNode):
        def respond(self, path: str) -> Wire | None:
            return None if "challenge" in path else super().respond(path)

    with Mute(node.wallet, node.line).served() as url:
        said = command(url, *command.collateral, *command.policy)
    assert said.code == 3
    assert "does not take challenges: 404 not found (CHALLENGE_FAILED)" in said.out


def test_fail(command: Command, node: SimulatedNode, attacker: Wallet) -> None:
    with node.but(signer=attacker).served() as url:
        said = command(url, *command.collateral, *command.policy)
    assert said.code == 1
    assert said.out.startswith("FAIL: ") and "(ADDRESS_MISMATCH)" in said.out.splitlines()[0]
    assert "(1 more check was not reached)" in said.out


def test_unknown_software_is_inconclusive_and_its_measurement_makes_it_pass(
    command: Command, node: SimulatedNode
) -> None:
    with node.served() as url:
        said = command(url, *command.collateral)
        assert said.code == 3 and said.out.startswith("INCONCLUSIVE: nothing is wrong so far")
        hint = said.out.splitlines()[-1]
        assert hint.startswith(f"→ once you know what that is: aoshell attest {url} --measurement")
        again = command(url, *command.collateral, *hint.split()[-2:])
        assert again.code == 0
        other = command(url, *command.collateral, "--measurement", "0" * 96)
        assert other.code == 1 and "MEASUREMENT_MISMATCH" in other.out


def test_json(command: Command, node: SimulatedNode) -> None:
    with node.served() as url:
        said = command(url, *command.collateral, *command.policy, "--json")
    assert said.code == 0 and said.out.count("\n") == 1
    value = said.value
    issue = {"verdict", "kind", "freshness", "checks", "report", "evidence_id"}
    assert value.keys() == issue | {"address", "key_custody"}
    assert value["verdict"] == "PASS" and len(value["evidence_id"]) == 64
    assert all(one.keys() == {"name", "status", "error", "detail"} for one in value["checks"])
    assert {one["error"] for one in value["checks"]} == {None}
    assert value["report"]["measurement"] == node.sample.report[0x90:0xC0].hex()


def test_what_is_kept_is_checked_later_by_others(
    command: Command, node: SimulatedNode, tmp_path: Path
) -> None:
    kept = str(tmp_path / "kept.json")
    with node.served() as url:
        said = command(url, *command.collateral, *command.policy, "--save", kept)
        assert said.code == 0
        again = command(url, *command.collateral, *command.policy, "--save", kept)
        assert again.code == 2 and "exists already" in again.err
        assert (said.err, again.out) == (f"kept in {kept}\n", "")
    later = command(kept, *command.policy)
    assert later.code == 0 and "as its keeper says" in later.out.splitlines()[0]
    changed = json.loads(Path(kept).read_bytes())
    changed["headers"] = [
        [name, "A" * 43 if name == "address" else value] for name, value in changed["headers"]
    ]
    said = command(command.file("changed", json.dumps(changed).encode()), *command.policy)
    assert said.code == 1 and "HTTPSIG_INVALID" in said.out


def test_a_kept_challenge_is_of_one_nonce(command: Command, node: SimulatedNode) -> None:
    kept, nonce = str(command.folder / "kept"), "07" * 32
    with node.served() as url:
        wished = (*command.policy, "--nonce", nonce)
        assert command(url, *command.collateral, *wished, "--save", kept).code == 0
    assert command(kept, *wished).code == 0
    said = command(kept, *command.policy, "--nonce", "08" * 32)
    assert (said.code, said.out) == (2, "") and "is made for no nonce" in said.err


def test_a_kept_envelope_is_not_of_now(command: Command, tpm_node: TpmNode) -> None:
    kept = str(command.folder / "kept")
    with served(tpm_node.respond) as url:
        said = command(url, "--save", kept)
    assert "that runs the node now. Its owner" in said.out
    assert "made on this machine and never leaves it" in said.out
    assert "that ran the node when it was asked. Its owner" in command(kept).out


def test_no_hardware_is_called_genuine_before_it_was_checked(
    command: Command, snp_node: SnpNode
) -> None:
    with served(snp_node.respond) as url:
        said = command(url)
    assert "VCEK_UNAVAILABLE" in said.out and "unknown software" in said.out
    assert "genuine" not in said.out


def test_a_body_that_was_cut(command: Command, node: SimulatedNode) -> None:
    cut = node.but(wire=lambda wire, _: (wire[0], wire[1][:-100]))
    with cut.served() as url:
        said = command(url, *command.collateral, *command.policy)
    assert said.code == 1 and "CONTENT_DIGEST" in said.out


# --- files


def test_files(command: Command, node: SimulatedNode) -> None:
    sample = node.sample
    raw = command.file("raw", sample.report)
    text = command.file("json", version_5(sample.report))
    for file in (raw, text):
        said = command(file, *command.collateral)
        assert said.code == 0
        first = said.out.splitlines()[0]
        assert first.startswith(
            "PASS: genuine AMD hardware (Milan) signed this report; its software"
        )
        assert "Key custody" not in said.out
    wanted = [
        "--report-data",
        node.report_data.hex(),
        "--measurement",
        sample.report[144:192].hex(),
    ]
    known = command(raw, *command.collateral, *wanted)
    assert known.code == 0 and "report of the measurement that was asked for" in known.out
    wrong = command(raw, *command.collateral, "--report-data", "00" * 64)
    assert wrong.code == 1 and "REPORT_DATA_MISMATCH" in wrong.out
    cut = command(command.file("cut", sample.report[:-1]), *command.collateral)
    assert cut.code == 1 and "(REPORT_SIZE)" in cut.out
    missing = command(raw)
    assert missing.code == 3 and missing.out.splitlines()[-1].startswith("→ attest without")
    assert "Not available" not in missing.out


def test_a_huge_file_is_refused_not_read(command: Command) -> None:
    path = command.folder / "huge"
    with path.open("wb") as file:
        file.truncate(1 << 40)
    said = command(str(path)).out
    assert "a report has 1184 bytes, this has more than 1048576 (REPORT_SIZE)" in said


NAMING = ("--vek", "--chain", "--crl", "--ek-chain", "--policy", "--save")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "the node or file to attest is missing"),
        (["missing"], "missing cannot be read"),
        (["/"], "cannot be read"),
        (["raw", "--vek", "missing"], "missing cannot be read"),
        (["raw", "--policy", "missing"], "missing cannot be read"),
        (["raw", "--policy", "bad"], "the key 'root' is unknown"),
        (["raw", "--report-data", "00"], "128 hexadecimal digits are expected"),
        (["raw", "--measurement", "x" * 96], "96 hexadecimal digits are expected"),
        (["raw", "--at", "noon"], "is not a time"),
        (["raw", "--roots", "x"], "unrecognized arguments"),
        *(([flag, "", "raw"], f"argument {flag}: it is empty") for flag in NAMING),
        ([""], "it is empty"),
        (["raw", "--save", "kept"], "only a node's answer is kept"),
        (["raw", "--nonce", "07" * 32], "kind report is made for no nonce"),
        (["http://localhost:1", "--save", "raw"], "raw exists already"),
        (["http://localhost:1", "--save", "none/x"], "there is no such folder"),
        (["http://localhost:1", "--kind", "report"], "no node gives a report alone"),
        (["--explain", "nothing"], "there is no verdict, check or error 'nothing'"),
        (["http://"], "is no URL of a node"),
        (["http://me:secret@localhost:1"], "a URL with a name or password"),
        (["https://x/?a=b"], "is no URL of a node"),
    ],
)
def test_misuse(
    command: Command, monkeypatch: pytest.MonkeyPatch, words: list[str], told: str
) -> None:
    monkeypatch.chdir(command.folder)
    command.file("raw", command.sample.report)
    command.file("bad", b'root = "69d063"')
    code = attest_command.main(words, ask)
    assert code == 2 and told in command.capsys.readouterr().err


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("1772323200", 1772323200),
        ("2026-03-01", 1772323200),
        ("2026-03-01T01:00+01:00", 1772323200),
        ("2026-03-01T00:00:00Z", 1772323200),
    ],
)
def test_times(said: str, seconds: int) -> None:
    assert attest_command.moment(said) == seconds


@pytest.mark.parametrize("name", ["vmpl", "30", "VMPL", "vmpl_"])
def test_explain(command: Command, name: str) -> None:
    code = attest_command.main(["--explain", name], ask)
    said = command.capsys.readouterr().out
    assert code == (2 if name == "vmpl_" else 0)
    assert ("privilege level" in said) is (code == 0)


@pytest.mark.parametrize("name", [explaining.NO_EVIDENCE, explaining.EVIDENCE])
def test_what_no_evidence_means_is_explained(command: Command, name: str) -> None:
    assert attest_command.main(["--explain", name], ask) == 0
    assert "says nothing of the machine" in command.capsys.readouterr().out


def test_synthetic_roots_are_trusted_by_a_parameter_only(
    command: Command, node: SimulatedNode, home: Path
) -> None:
    """The command as a user starts it, with all that a user can write."""
    raw = command.file("raw", node.sample.report)
    home.joinpath("cache/attest/Milan").mkdir(parents=True)
    home.joinpath("cache/attest/Milan/vcek-chain.pem").write_bytes(node.sample.chain)
    words = ["attest", raw, "--at", str(NOW), "--offline", "--json"]
    for more in (command.collateral, []):
        ran = started([*words, *more])
        verdict = json.loads(ran.stdout)
        failed = [one["error"] for one in verdict["checks"] if one["error"]]
        if more:
            assert (ran.returncode, failed[0]) == (1, "ROOT_NOT_PINNED")
        else:
            assert ran.returncode == 3 and failed[0] == "VCEK_UNAVAILABLE"
    assert command(raw, *command.collateral, roots={"Milan": "00" * 32}).code == 1


@pytest.mark.parametrize("home_is", ["missing", "read-only", "a file", "locked"])
def test_any_home_will_do(command: Command, node: SimulatedNode, home: Path, home_is: str) -> None:
    raw = command.file("raw", node.sample.report)
    state = home / "state"
    if home_is == "a file":
        home.write_bytes(b"")
    elif home_is != "missing":
        state.mkdir(parents=True)
    with (home if home_is == "a file" else Path(raw)).open("rb") as held:
        if home_is == "locked":
            lock = (state / "node.lock").open("wb")
            fcntl.flock(lock, fcntl.LOCK_EX)
        if home_is == "read-only":
            state.chmod(0o500)
            home.chmod(0o500)
        try:
            before = sorted(home.rglob("*")) if home.is_dir() else []
            ran = started(["attest", raw, *command.collateral, "--at", str(NOW), "--offline"])
            after = sorted(home.rglob("*")) if home.is_dir() else []
        finally:
            if home_is == "read-only":
                home.chmod(0o700)
                state.chmod(0o700)
        assert held
    assert ran.returncode == 1 and "ROOT_NOT_PINNED" in ran.stdout and not ran.stderr
    assert before == after


# --- the policy


def test_the_policy_of_the_config_folder(command: Command, node: SimulatedNode, home: Path) -> None:
    file = home / "config" / "attest.toml"
    file.parent.mkdir(parents=True)
    file.write_text(TRUSTED)
    raw = command.file("raw", node.sample.report)
    with node.served() as url:
        assert command(url, *command.collateral).code == 0
        file.write_text(TRUSTED.replace(str(HASHES["kernel"]), "00" * 32))
        assert command(url, *command.collateral).code == 1
        assert command(url, *command.collateral, *command.policy).code == 0
    file.write_text("minimum_tcb.Milan = 7")
    said = command(raw, *command.collateral)
    assert said.code == 2 and str(file) in said.err


# --- collateral


def test_what_amd_says_is_kept_and_checked_each_time(node: SimulatedNode, home: Path) -> None:
    asked = []

    async def asking(url: str, most: int) -> KdsResponse:
        asked.append(url)
        kinds = {"cert_chain": node.sample.chain, "crl": node.sample.crl}
        content = kinds.get(url.rpartition("/")[2], node.sample.vek)
        assert len(content) <= most
        return KdsResponse(200, {}, content)

    def tried(**wishes: Any) -> Any:
        found = judge_evidence(
            node.evidence("c" * 43),
            Settings.find(),
            Wishes(at=NOW, measurement=node.sample.report[144:192], **wishes),
            test_roots=node.sample.roots,
            asking=asking,
        )
        return asyncio.run(found)

    assert tried(offline=True).verdict.error == "VCEK_UNAVAILABLE" and not asked
    assert tried().verdict.verdict == "PASS" and len(asked) == 3
    assert tried(offline=True).verdict.verdict == "PASS"
    (kept,) = (home / "cache" / "attest" / "Milan" / "vcek").iterdir()
    kept.write_bytes(b"poisoned")
    assert tried(offline=True).verdict.error == "VCEK_UNAVAILABLE"
    assert tried().verdict.verdict == "PASS" and len(asked) == 4
    mine = Collateral(vek=b"mine")
    assert tried(have=mine).verdict.error == "CERT_PARSE"


# --- what is remembered


def test_a_changed_node_is_told_loudly(command: Command, node: SimulatedNode) -> None:
    measured = node.sample.report[144:192].hex()
    with node.served() as url:
        same = Passed(url, node.wallet.address, measured, "", "", NOW, NOW + LIFETIME)
        pins = AttestationPins(Settings.find())
        pins.put(same)
        assert command(url, *command.collateral, *command.policy).err == ""
        pins.put(Passed(url, "A" * 43, "00" * 48, "", "", NOW, NOW + LIFETIME))
        said = command(url, *command.collateral, *command.policy)
        assert said.code == 0
        key, software = said.err.splitlines()
        assert key == f"CHANGED: the key was {'A' * 43} and is {node.wallet.address}"
        assert software.endswith(f"and is {measured}")
        (file,) = (Settings.find().state / "attested").iterdir()
        file.write_bytes(b"[]")
        said = command(url, *command.collateral, *command.policy)
        assert (
            said.code == 0 and "which has the node's last attestation, cannot be read" in said.err
        )


def test_who_can_read_along() -> None:
    assert not warn_unprotected("https://node.example")
    assert not warn_unprotected("http://localhost:8734")
    assert "is not https" in warn_unprotected("http://node.example")


# --- a kill


def test_a_kill_while_evidence_is_saved_leaves_no_half_of_it(
    command: Command, tpm_node: TpmNode
) -> None:
    kept = command.folder / "kept"
    kill = "import os, signal; os.fsync = lambda _: os.kill(os.getpid(), signal.SIGKILL); "
    with served(tpm_node.respond) as url:
        words = ["attest", url, "--offline", "--save", str(kept)]
        ran = started(words, kill)
        assert ran.returncode == -signal.SIGKILL and ran.stdout.startswith("FAIL: ")
        assert not kept.exists()
        again = started(words)
        assert again.returncode == 1 and again.stderr == f"kept in {kept}\n"
    assert load_evidence(kept.read_bytes()).exchange
