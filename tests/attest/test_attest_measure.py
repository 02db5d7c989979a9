"""`aoshell attest measure`: its flags, its output, and the policy file that it adds to."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from amd import Line
from attest_node import HASHES, SimulatedNode
from der_writer import NOW
from ovmf_image import GOOD, PLAIN, Image

from aoshell import cli
from aoshell.attest.launch import local_hashes, ovmf
from aoshell.attest.launch.ovmf import read_firmware
from aoshell.attest.policy import IDENTIFYING, load_policy
from aoshell.bounded import files
from aoshell.home.folders import Settings
from aoshell.nodes.remote.hyperbeam.evidence import ask
from aoshell.protocol.wallet import Wallet
from aoshell.shell.attestation import command as attest_command
from aoshell.shell.attestation import measure
from aoshell.shell.attestation.measure import COUNTS, SECONDS, Progress
from aoshell.shell.attestation.pins import Trusted

VECTORS = json.loads((Path(__file__).parent / "launch.json").read_text(encoding="utf-8"))


@dataclass
class Said:
    code: int
    out: str
    err: str


Measure = Callable[..., Said]


@pytest.fixture(autouse=True)
def home(aoshell_home: Path) -> Path:
    return aoshell_home


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "files"
    folder.mkdir()
    monkeypatch.chdir(folder)
    (folder / "OVMF.fd").write_bytes(GOOD.bytes())
    (folder / "kernel").write_bytes(b"kernel")
    (folder / "initrd").write_bytes(b"initrd")
    return folder


@pytest.fixture
def run(folder: Path, capsys: pytest.CaptureFixture[str]) -> Measure:
    def run(*words: str, firmware: str = "OVMF.fd", model: str = "EPYC-v4") -> Said:
        assert Path.cwd() == folder
        flags = ["--firmware", firmware, "--vcpu-type", model]
        code = cli.main(["attest", "measure", *flags, *words])
        return Said(code, *capsys.readouterr())

    return run


BOOT = ("--kernel", "kernel", "--initrd", "initrd", "--append", "console=ttyS0")


@pytest.mark.parametrize(
    "known", [one for one in VECTORS["recorded"] if one["image"] == "amd-sev" and one["vcpus"] < 9]
)
def test_the_measurement_comes_first(run: Measure, known: dict[str, Any]) -> None:
    words = ["--vcpus", str(known["vcpus"]), "--guest-features", f"{known['features']:x}"]
    if booted := known["boot"]:
        words += ["--kernel", "kernel", f"--append={booted['append']}"]
        words += ["--initrd", "initrd"] if booted["initrd"] else []
    said = run(*words, model=known["model"])
    assert (said.code, said.err) == (0, "")
    assert said.out.splitlines()[0] == known["measurement"]
    assert ("Only the firmware is measured" in said.out) == (booted is None)


def test_what_it_was_made_of(run: Measure) -> None:
    lines = {line.split("  ")[0]: line for line in run(*BOOT, "--vcpus", "1").out.splitlines()}
    assert "OVMF.fd" in lines["firmware"]
    assert lines["firmware"].endswith(read_firmware(GOOD.bytes(), "").digest.hex())
    assert lines["kernel"].endswith(HASHES["kernel"]) and lines["initrd"].endswith(HASHES["initrd"])
    assert '"console=ttyS0"' in lines["append"]
    assert "EPYC-v4, 0x800f12" in lines["vcpu type"] and "0x1" in lines["guest features"]


def test_without_a_number_of_processors_the_usual_ones_are_shown(run: Measure) -> None:
    rows = [line.split() for line in run(*BOOT).out.splitlines()]
    shown = {row[0]: row[1] for row in rows[1 : 1 + len(COUNTS)]}
    assert [*shown] == [str(count) for count in COUNTS]
    for count in ("1", "2"):
        assert run(*BOOT, "--vcpus", count).out.splitlines()[0] == shown[count]


def test_json(run: Measure) -> None:
    said = json.loads(run(*BOOT, "--vcpus", "2", "--json").out)
    measured = VECTORS["recorded"][1]["measurement"]
    assert said["measurements"] == [{"vcpus": 2, "measurement": measured}]
    assert [*said["hashes"]] == [*IDENTIFYING] and said["hashes"]["kernel"] == HASHES["kernel"]
    assert (said["vcpu_type"], said["cpuid"], said["guest_features"]) == ("EPYC-v4", 0x800F12, 1)
    assert said["trusted"] is None
    bare = json.loads(run("--json").out)
    assert [one["vcpus"] for one in bare["measurements"]] == [*COUNTS]
    assert bare["hashes"]["kernel"] is None


def test_a_cpuid_signature_stands_for_a_type(run: Measure) -> None:
    named, given = run("--vcpus", "1"), run("--vcpus", "1", model="0x800F12")
    assert given.out.splitlines()[0] == named.out.splitlines()[0]
    assert "0x800f12" in given.out and "EPYC" not in given.out


@pytest.mark.parametrize("count", [1, 512, 513, 1024])
def test_numbers_of_processors(run: Measure, count: int) -> None:
    assert len(run("--vcpus", str(count)).out.splitlines()[0]) == 96


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--vcpus", "0"], "'0' is no number from 1 to 1024"),
        (["--vcpus", "1025"], "'1025' is no number from 1 to 1024"),
        (["--vcpus", "-1"], "--vcpus"),
        (["--vcpus", "1.5"], "'1.5' is no number"),
        (["--vcpus", "٣"], "'٣' is no number"),
        (["--vcpus", ""], "'' is no number"),
        (["--vcpu-type", "epyc"], "'epyc' is none of EPYC, EPYC-v1"),
        (["--vcpu-type", "host"], "no CPUID signature like 0x800f12"),
        (["--vcpu-type", "0x123456789"], "is none of"),
        (["--guest-features", "0x20"], "0x20 lacks bit 0"),
        (["--guest-features", "x"], "'x' is no number of 64 bits"),
        (["--guest-features", "10000000000000001"], "is no number of 64 bits"),
        (["--initrd", "initrd"], "add --kernel"),
        (["--append", ""], "add --kernel"),
        (["--kernel", "nowhere"], "nowhere cannot be read: No such file"),
        (["--kernel", "kernel", "--initrd", "."], ". cannot be read: it is a folder"),
        (["--kernel", "/dev/zero"], "/dev/zero cannot be read: it is no regular file"),
        (["--firmware", "/dev/zero"], "/dev/zero cannot be read: it is no regular file"),
        (["--firmware", "kernel"], "kernel has 6 bytes, which is no whole number of pages"),
        (["--trust", " "], "it is empty"),
        (["--trust", "x"], "each number of processors has a measurement of its own"),
        (["--trust", "x\udc80", "--vcpus", "1"], "must be UTF-8 text"),
        (["--firm", "x"], "--firm"),
        (["--covers-os", "--kernel", "kernel"], "it goes with --trust and --kernel"),
        (["--covers-os", "--trust", "x", "--vcpus", "1"], "it goes with --trust and --kernel"),
    ],
)
def test_misuse(run: Measure, home: Path, words: list[str], told: str) -> None:
    said = run(*words)
    assert (said.code, said.out) == (2, "")
    assert told in said.err and "Traceback" not in said.err
    assert not home.exists()


def test_a_kernel_that_would_not_be_measured(run: Measure, folder: Path) -> None:
    (folder / "plain.fd").write_bytes(Image(sections=PLAIN).bytes())
    said = run(*BOOT, "--vcpus", "1", firmware="plain.fd")
    assert said.code == 2 and "plain.fd takes no hashes of a kernel" in said.err


@pytest.mark.parametrize("flag", ["--firmware", "--kernel"])
def test_sparse_files_are_refused_by_their_size(run: Measure, folder: Path, flag: str) -> None:
    most = ovmf.LARGEST if flag == "--firmware" else measure.LARGEST_BOOT
    (folder / "sparse").touch()
    os.truncate(folder / "sparse", most + 1)
    said = run(flag, "sparse")
    assert said.code == 2 and "sparse cannot be read: it is larger than" in said.err


def test_a_file_that_grows_is_refused(folder: Path) -> None:
    with pytest.raises(files.UnfitFileError):
        for piece in files.pieces(folder / "kernel", 6):
            assert piece == b"kernel"
            with (folder / "kernel").open("ab") as file:
                file.write(b"more")


def test_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["attest", "measure", "--help"]) == 0
    assert "--guest-features" in capsys.readouterr().out
    assert cli.main(["attest", "--help"]) == 0
    assert "aoshell attest measure" in capsys.readouterr().out


def test_progress_shows_once_it_takes_long() -> None:
    now, written = [0.0], list[str]()
    progress = Progress(written.append, lambda: now[0])
    progress.show("at once")
    progress.clear()
    assert written == []
    now[0] = SECONDS
    for text in ("1 MB", "2 MB"):
        progress.show(text)
    progress.clear()
    assert written == ["1 MB", "\r\x1b[K"]


# --- --trust


def policy(home: Path) -> Path:
    return home / "config" / "attest.toml"


def trusted(path: Path) -> dict[str, str]:
    images = load_policy(path.read_bytes()).trusted
    return {one.name: one.measurement.hex() or "by hashes" for one in images}


def test_trust_makes_the_file(run: Measure, home: Path) -> None:
    said = run(*BOOT, "--vcpus", "2", "--trust", 'my "build" of May')
    assert (said.code, said.err) == (0, "")
    assert said.out.endswith(f'my "build" of May is trusted: written to {policy(home)}\n')
    measured = VECTORS["recorded"][1]["measurement"]
    assert trusted(policy(home)) == {'my "build" of May': measured}


def test_trust_keeps_what_a_review_found(run: Measure, home: Path) -> None:
    for name, words in {"a": [], "b": ["--covers-os"]}.items():
        assert run(*BOOT, "--vcpus", "1", "--trust", name, *words).code == 0
    images = load_policy(policy(home).read_bytes()).trusted
    assert [one.covers_os for one in images] == [False, True]


WRITTEN = [
    b"",
    b"# mine\nvmpl = 0 # why\n",
    b"vmpl = 0",
    b"\xef\xbb\xbf# mine\r\nvmpl = 0\r\n",
    b'[[trusted]]\nname = "old"\nmeasurement = "%s" # the old one\n' % (b"ab" * 48),
    b"[minimum_tcb.Milan]\nbootloader = 4\ntee = 0\nsnp = 22\nmicrocode = 213",
]


@pytest.mark.parametrize("before", WRITTEN)
def test_trust_keeps_what_is_in_the_file(run: Measure, home: Path, before: bytes) -> None:
    path = policy(home)
    path.parent.mkdir(parents=True)
    path.write_bytes(before)
    path.chmod(0o640)
    was = load_policy(before)
    for name in ("first", "second"):
        assert run("--vcpus", "1", "--trust", name).code == 0
    after = path.read_bytes()
    assert after.startswith(before) and stat.S_IMODE(path.stat().st_mode) == 0o640
    if b"\r\n" in before:
        assert after.count(b"\n") == after.count(b"\r\n")
    now = load_policy(after)
    assert replace(now, trusted=was.trusted) == was
    assert [one.name for one in now.trusted[-2:]] == ["first", "second"]
    assert [one.name for one in path.parent.iterdir()] == ["attest.toml"]


def test_trust_refuses_a_name_that_is_taken(run: Measure, home: Path) -> None:
    assert run("--vcpus", "1", "--trust", "x").code == 0
    before = policy(home).read_bytes()
    said = run("--vcpus", "2", "--trust", "x")
    assert said.code == 2 and f"{policy(home)} has the name x already" in said.err
    Trusted(Settings.find()).put(replace(load_policy(before).trusted[0], name="y"))
    said = run("--vcpus", "2", "--trust", "y")
    assert said.code == 2 and ".trust gave the name y already" in said.err
    assert policy(home).read_bytes() == before


@pytest.mark.parametrize(
    ("before", "told"),
    [
        (b"trusted = [{ name = 'a', measurement = '%s' }]\n" % (b"ab" * 48), "as [[trusted]]"),
        (b"oops = 1\n", "'oops' is unknown"),
        (b"vmpl = ", "this is not TOML"),
        (b"# " + b"x" * (1 << 20), "is larger than"),
    ],
)
def test_trust_leaves_a_file_that_takes_nothing(
    run: Measure, home: Path, before: bytes, told: str
) -> None:
    policy(home).parent.mkdir(parents=True)
    policy(home).write_bytes(before)
    said = run("--vcpus", "1", "--trust", "x")
    assert (said.code, said.out) == (2, "")
    assert told in said.err and str(policy(home)) in said.err
    assert policy(home).read_bytes() == before


def test_trust_writes_to_another_file_and_through_a_link(
    run: Measure, home: Path, folder: Path
) -> None:
    (folder / "link.toml").symlink_to("real.toml")
    said = run("--vcpus", "1", "--trust", "x", "--policy", "link.toml", "--json")
    assert said.code == 0 and (folder / "link.toml").is_symlink()
    entry = {"name": "x", "by": "measurement", "file": str(folder / "real.toml")}
    assert json.loads(said.out)["trusted"] == entry
    assert [*trusted(folder / "real.toml")] == ["x"] and not home.exists()


def test_trust_that_cannot_write_says_so(run: Measure) -> None:
    said = run("--vcpus", "1", "--trust", "x", "--policy", "kernel/attest.toml")
    assert said.code == 2 and "kernel/attest.toml cannot be written" in said.err


# --- what is written makes nodes pass


def attested(node: SimulatedNode, folder: Path) -> int:
    parts = {"vek": node.sample.vek, "chain": node.sample.chain, "crl": node.sample.crl}
    words = ["--policy", "policy.toml", "--at", str(NOW), "--offline"]
    for part, content in parts.items():
        (folder / part).write_bytes(content)
        words += [f"--{part}", part]
    with node.served() as url:
        return attest_command.main([url, *words], ask, test_roots=node.sample.roots)


@pytest.fixture
def node(wallet: Wallet, milan: Line, run: Measure) -> SimulatedNode:
    """A node with four processors, launched from the files."""
    said = json.loads(run(*BOOT, "--vcpus", "4", "--json").out)
    measured = bytes.fromhex(said["measurements"][0]["measurement"])
    hashes = HASHES | said["hashes"]
    return SimulatedNode(wallet, milan, report_values={"measurement": measured}, hashes=hashes)


def test_a_node_of_a_trusted_measurement_passes(
    run: Measure, folder: Path, node: SimulatedNode, capsys: pytest.CaptureFixture[str]
) -> None:
    trust = ("--trust", "my build", "--policy", "policy.toml")
    assert run(*BOOT, "--vcpus", "4", *trust).code == 0
    assert attested(node, folder) == 0, capsys.readouterr()
    (folder / "policy.toml").unlink()
    assert run(*BOOT, "--vcpus", "2", *trust).code == 0
    assert attested(node, folder) == 3
    assert "SOFTWARE_UNKNOWN" in capsys.readouterr().out


def test_nodes_of_known_firmware_pass_with_any_number_of_processors(
    run: Measure,
    folder: Path,
    node: SimulatedNode,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    firmware = read_firmware(GOOD.bytes(), "")
    layouts = {firmware.digest.hex(): firmware.layout}
    monkeypatch.setattr(local_hashes, "LAYOUTS", layouts)
    monkeypatch.setattr(measure, "LAYOUTS", layouts)
    said = run(*BOOT, "--trust", "my build", "--policy", "policy.toml")
    assert said.code == 0 and "my build is trusted with any number of processors" in said.out
    assert trusted(folder / "policy.toml") == {"my build": "by hashes"}
    assert attested(node, folder) == 0, capsys.readouterr()
    more = node.but(hashes=node.hashes | {"vcpus": 64}, report_values={})
    assert attested(more, folder) == 0, capsys.readouterr()
    other = node.but(hashes=node.hashes | {"kernel": "00" * 32}, report_values={})
    assert attested(other, folder) == 1
