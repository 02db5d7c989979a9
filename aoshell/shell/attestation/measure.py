"""The command `aoshell attest measure`: the launch measurement of a guest, from its files.

Exit codes: 0, or 2 for a command line or file that cannot be used.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import os
import re
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TypeVar

from aoshell.attest.launch import ovmf, vmsa
from aoshell.attest.launch.local_hashes import LAYOUTS
from aoshell.attest.launch.ovmf import Firmware, read_firmware
from aoshell.attest.launch.pages import MOST_VCPUS, BootHashes
from aoshell.attest.launch.vmsa import MODELS, Processor
from aoshell.attest.policy import IDENTIFYING, Image
from aoshell.bounded import files
from aoshell.errors import AoError, UsageError
from aoshell.home.folders import Settings
from aoshell.shell.attestation.files import unreadable_error
from aoshell.shell.attestation.judging import policy_file
from aoshell.shell.attestation.pins import Trusted
from aoshell.shell.attestation.policyfile import PolicyFile
from aoshell.shell.flags.values import file
from aoshell.shell.table import Table
from aoshell.shell.view.streams import Write, writer
from aoshell.shell.view.tables import table_lines
from aoshell.shell.view.text import clean, clean_line

MISUSED = 2
LARGEST_BOOT = 4 << 30  # bytes of a kernel or initrd: QEMU loads both below 4 GB
COUNTS = (1, 2, 4, 8, 16, 32, 64)  # of processors, where none is given
SECONDS = 1.0  # until reading shows progress

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Measured:
    """What was measured.

    Attributes:
        boot: None without a kernel.
        by_count: measurements by the number of processors.
    """

    firmware: Firmware
    boot: BootHashes | None
    processor: Processor
    by_count: dict[int, bytes]


def main(arguments: Sequence[str]) -> int:
    """Measures as a command line asks; returns the exit code."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Characters that the terminal's encoding lacks are shown escaped.
        sys.stdout.reconfigure(errors="backslashreplace")
    say, note = writer(sys.stdout, needed=True), writer(sys.stderr, needed=False)
    try:
        given = make_parser().parse_args(arguments)
        policy = _policy(given) if given.trust else None
        measured = _measured(given, Progress(note if sys.stderr.isatty() else _say_nothing))
        image = _image(given, measured) if policy else None
        if policy and image:
            policy.add(image)
        where = str(policy.path) if policy else ""
        show = _as_json if given.json else _as_text
        say(show(given, measured, image, where) + "\n")
    except SystemExit as leaving:  # argparse, after printing its message
        return leaving.code if isinstance(leaving.code, int) else MISUSED
    except AoError as error:
        note(clean(str(error), colour=False) + "\n")
        return MISUSED
    return 0


def _policy(given: argparse.Namespace) -> PolicyFile:
    """The file that --trust writes to. Refuses a name that is taken before anything is read."""
    if any("\ud800" <= character <= "\udfff" for character in given.trust):
        raise UsageError("the name of an image must be UTF-8 text")
    if given.policy:
        found = PolicyFile(files.path_of(given.policy))
    else:
        settings = Settings.find()
        found = PolicyFile(policy_file(settings))
        if any(one.name == given.trust for one in Trusted(settings).images()):
            raise UsageError(f".trust gave the name {given.trust} already", hint="choose another")
    found.refuse_taken(given.trust)
    return found


def _measured(given: argparse.Namespace, progress: Progress) -> Measured:
    if given.kernel is None and (given.initrd is not None or given.append is not None):
        raise UsageError("QEMU takes --initrd and --append with a kernel only", hint="add --kernel")
    if given.covers_os and not (given.trust and given.kernel is not None):
        raise UsageError(
            "--covers-os says of what is trusted that its kernel was measured",
            hint="it goes with --trust and --kernel",
        )
    image = _read(given.firmware, lambda path: files.read(path, ovmf.LARGEST))
    firmware = read_firmware(image, given.firmware)
    if given.trust and given.vcpus is None:
        _refuse_without_count(given, firmware)
    boot = None if given.kernel is None else _boot(given, progress)
    processor = Processor(given.vcpu_type[1], given.guest_features)
    counts = COUNTS if given.vcpus is None else (given.vcpus,)
    measurements = enumerate(firmware.measure(boot, processor), start=1)
    by_count = {count: one for count, one in islice(measurements, max(counts)) if count in counts}
    return Measured(firmware, boot, processor, by_count)


def _refuse_without_count(given: argparse.Namespace, firmware: Firmware) -> None:
    """Refuse --trust without --vcpus, unless any number of processors can be checked."""
    known = LAYOUTS.get(firmware.digest.hex()) == firmware.layout
    if given.kernel is None or not known:
        raise UsageError(
            "each number of processors has a measurement of its own, and one is trusted",
            hint="say how many there are: --vcpus N",
        )


def _boot(given: argparse.Namespace, progress: Progress) -> BootHashes:
    def digest(name: str | None) -> bytes:
        if name is None:
            return hashlib.sha256().digest()
        return _read(name, lambda path: _digest_file(path, progress))

    append = hashlib.sha256(os.fsencode(given.append or "") + b"\0").digest()
    return BootHashes(digest(given.kernel), digest(given.initrd), append)


def _digest_file(path: Path, progress: Progress) -> bytes:
    state, done = hashlib.sha256(), 0
    try:
        for piece in files.pieces(path, LARGEST_BOOT):
            state.update(piece)
            done += len(piece)
            progress.show(f"reading {files.shown(path)}: {done >> 20} MB")
    finally:
        progress.clear()
    return state.digest()


def _read(name: str, read: Callable[[Path], _T]) -> _T:
    try:
        return read(files.path_of(name))
    except (OSError, ValueError) as error:
        raise unreadable_error(name, error) from None


def _image(given: argparse.Namespace, measured: Measured) -> Image:
    if given.vcpus is not None:
        found = Image(given.trust, measured.by_count[given.vcpus])
    else:
        features = {"guest_features": measured.processor.features}
        found = Image(given.trust, hashes=_hashes(measured) | features)
    return replace(found, covers_os=given.covers_os)


def _hashes(measured: Measured) -> dict[str, str | int]:
    """By the names of a policy's `hashes`."""
    boot = measured.boot
    found: dict[str, str | int] = {"firmware": measured.firmware.digest.hex()}
    for name in ("kernel", "initrd", "append") if boot else ():
        found[name] = getattr(boot, name).hex()
    return found


def _as_json(given: argparse.Namespace, measured: Measured, image: Image | None, where: str) -> str:
    rows = [{"vcpus": count, "measurement": m.hex()} for count, m in measured.by_count.items()]
    hashes = dict.fromkeys(IDENTIFYING) | _hashes(measured)
    entry = image and {
        "name": image.name,
        "by": "measurement" if image.measurement else "hashes",
        "file": where,
    }
    return json.dumps(
        {
            "measurements": rows,
            "hashes": hashes,
            "vcpu_type": given.vcpu_type[0],
            "cpuid": measured.processor.signature,
            "guest_features": measured.processor.features,
            "trusted": entry,
        }
    )


def _as_text(given: argparse.Namespace, measured: Measured, image: Image | None, where: str) -> str:
    if given.vcpus is None:
        rows = tuple((str(count), one.hex()) for count, one in measured.by_count.items())
        lines = table_lines(Table(("PROCESSORS", "MEASUREMENT"), rows, frozenset({"PROCESSORS"})))
    else:
        lines = [measured.by_count[given.vcpus].hex()]
    lines += ["", *table_lines(Table(("OF", "IS", "HASH"), tuple(_parts(given, measured))))]
    if measured.boot is None:
        lines += ["", "Only the firmware is measured. What it boots is not."]
    if image:
        counts = "" if image.measurement else " with any number of processors"
        lines += ["", f"{image.name} is trusted{counts}: written to {where}"]
    return "\n".join(map(clean_line, lines))


def _parts(given: argparse.Namespace, measured: Measured) -> list[tuple[str, str, str]]:
    """What the measurement was made of: (part, value, hash)."""
    name, signature = given.vcpu_type[0], f"{measured.processor.signature:#x}"
    hashes = {key: str(value) for key, value in _hashes(measured).items()}
    values = {
        "firmware": given.firmware,
        "kernel": given.kernel or "none",
        "initrd": given.initrd or "none",
        "append": json.dumps(given.append or "", ensure_ascii=False) if measured.boot else "none",
        "vcpu type": name if name == signature else f"{name}, {signature}",
        "guest features": f"{measured.processor.features:#x}",
    }
    return [(part, value, hashes.get(part, "")) for part, value in values.items()]


class Progress:
    """Shows on one line what is being read, once that has taken `SECONDS`.

    Args:
        write: to a terminal.
        clock: seconds.
    """

    def __init__(self, write: Write, clock: Callable[[], float] = time.monotonic) -> None:
        self._write, self._clock = write, clock
        self._shown = ""
        self._next = clock() + SECONDS

    def show(self, text: str) -> None:
        """Shows a text, at most once in `SECONDS`."""
        if self._clock() >= self._next:
            self._next = self._clock() + SECONDS
            self.clear()
            self._shown = clean_line(text)
            self._write(self._shown)

    def clear(self) -> None:
        """Removes what is shown."""
        if self._shown:
            self._write("\r\x1b[K")
            self._shown = ""


def _say_nothing(_text: str) -> None:
    pass


def make_parser() -> argparse.ArgumentParser:
    """The parser of `aoshell attest measure`."""
    parser = argparse.ArgumentParser(
        "aoshell attest measure",
        usage="aoshell attest measure --firmware FILE --vcpu-type TYPE [flags]",
        description="The measurement that an SEV-SNP guest of QEMU has after its launch, from the "
        "files that it is launched from (docs/attest.md).",
        epilog="Exit codes: 0, or 2 for a command line or file that cannot be used.",
        allow_abbrev=False,
    )
    flag = parser.add_argument
    flag("--firmware", type=file, required=True, metavar="FILE", help="OVMF, as for QEMU's -bios")
    flag("--kernel", type=file, metavar="FILE", help="as for QEMU, with kernel-hashes=on")
    flag("--initrd", type=file, metavar="FILE", help="as for QEMU")
    flag("--append", metavar="TEXT", help="the command line of the kernel")
    counts = ", ".join(map(str, COUNTS))
    flag("--vcpus", type=_vcpus, metavar="N", help=f"processors; without it, {counts} are shown")
    kinds = "as for QEMU's -cpu (EPYC-v4…), or the CPUID signature of another (0x800f12)"
    flag("--vcpu-type", type=_model, required=True, metavar="TYPE", help=kinds)
    features = "SEV_FEATURES of the guest; 0x1 if KVM was asked for none"
    flag(
        "--guest-features",
        type=_features,
        default=vmsa.SNP_ACTIVE,
        metavar="HEX",
        help=features,
    )
    flag("--trust", type=_name, metavar="NAME", help="add it to attest.toml, under this name")
    whole = "a review found that kernel, initrd and append decide on all that runs"
    flag("--covers-os", action="store_true", help=whole)
    flag("--policy", type=file, metavar="FILE", help="add it to this file instead")
    flag("--json", action="store_true", help="one object (docs/json.md)")
    return parser


def _vcpus(text: str) -> int:
    if not re.fullmatch("[0-9]{1,6}", text) or not 1 <= int(text) <= MOST_VCPUS:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1 to {MOST_VCPUS}")
    return int(text)


def _model(text: str) -> tuple[str, int]:
    """The name of a type, and its CPUID signature."""
    if text in MODELS:
        return text, MODELS[text]
    if re.fullmatch("0x[0-9a-fA-F]{1,8}", text):
        return f"{int(text, 16):#x}", int(text, 16)
    known = ", ".join(MODELS)
    what = f"{text!r} is none of {known}, and no CPUID signature like 0x800f12"
    raise argparse.ArgumentTypeError(what)


def _features(text: str) -> int:
    if not re.fullmatch("(0x)?[0-9a-fA-F]{1,16}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of 64 bits in hexadecimal")
    if not int(text, 16) & vmsa.SNP_ACTIVE:
        raise argparse.ArgumentTypeError(f"{text} lacks bit 0, which every SEV-SNP guest has")
    return int(text, 16)


def _name(text: str) -> str:
    if not text.strip():
        raise argparse.ArgumentTypeError("it is empty")
    return text
