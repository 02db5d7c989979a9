"""The command `aoshell attest`: its flags and its output.

Exit codes: 0 PASS, 1 FAIL, 3 INCONCLUSIVE (also without evidence), 2 for a wrong command line. It
needs no home and takes no lock, so a shell may be running.
"""

from __future__ import annotations

import argparse
import io
import json
import re
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Protocol

from aoshell import interrupts
from aoshell.attest.evidence import Evidence, load_evidence
from aoshell.attest.kinds import KIND_NAMES, Kind
from aoshell.errors import AoError, UsageError
from aoshell.home.folders import Settings
from aoshell.protocol.encoding import brief
from aoshell.shell.attestation import judging
from aoshell.shell.attestation.files import read_collateral, read_named_file
from aoshell.shell.attestation.judging import Judgement, Wishes
from aoshell.shell.attestation.pins import AttestationPins
from aoshell.shell.attestation.view import render_trial, warn_unprotected
from aoshell.shell.flags.parser import CommandParser
from aoshell.shell.flags.values import file, named
from aoshell.shell.view.streams import columns, writer
from aoshell.shell.view.text import clean, wrapped_rows

if TYPE_CHECKING:
    from aoshell.attest.tpm.roots import EkRoot

CODES = {"PASS": 0, "FAIL": 1, "INCONCLUSIVE": 3}
MISUSED = 2
NONCE_SIZE = 32  # bytes; a TPM takes no more than 64


class Ask(Protocol):
    """Asks a node, by its URL, for evidence (`nodes.remote.hyperbeam.evidence.ask`)."""

    def __call__(self, endpoint: str, nonce: bytes, *, kind: str = "") -> Awaitable[Evidence]: ...


def main(
    arguments: Sequence[str],
    ask: Ask,
    *,
    test_roots: Mapping[str, str] | None = None,
    test_ek_roots: Mapping[str, EkRoot] | None = None,
) -> int:
    """Checks evidence as a command line asks; returns the exit code.

    Args:
        test_roots, test_ek_roots: as in `verify_evidence()`, for tests only.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Characters that the terminal's encoding lacks are shown escaped.
        sys.stdout.reconfigure(errors="backslashreplace")
    say, note = writer(sys.stdout, needed=True), writer(sys.stderr, needed=False)
    try:
        given = make_parser().parse(arguments)
        if given.explain:
            say(fit(_explained(given.explain)) + "\n")
            return 0
        target = _target(given.target)
        judge = partial(judging.judge_evidence, test_roots=test_roots, test_ek_roots=test_ek_roots)
        asks = judging.is_url(target) or not given.offline
        run = interrupts.run if asks else interrupts.run_at_once
        trial = run(_tried(target, given, ask, judge))
        if isinstance(trial, AoError):
            nothing = _nothing(trial, given)
            say((nothing if given.json else fit(nothing)) + "\n")
            return CODES["INCONCLUSIVE"]
        for warning in _warnings(target, trial):
            note(clean(warning, colour=False) + "\n")
        whole = json.dumps(trial.verdict.as_json()) if given.json else ""
        say((whole or fit(render_trial(trial, _trust(trial, target)))) + "\n")
        if given.save:
            judging.save_trial(given.save, trial)
            note(clean(f"kept in {given.save}", colour=False) + "\n")
    except SystemExit as leaving:  # argparse, after printing its message
        return leaving.code if isinstance(leaving.code, int) else MISUSED
    except AoError as error:
        note(clean(str(error), colour=False) + "\n")
        return MISUSED
    return CODES[trial.verdict.verdict]


async def _tried(
    target: str, given: argparse.Namespace, ask: Ask, judge: Callable[..., Awaitable[Judgement]]
) -> Judgement | AoError:
    """A verdict, or why a node gave no evidence."""
    wishes = _wishes(given)
    settings = _settings()
    judging.load_user_policy(settings, wishes.policy)  # a bad one fails before any request
    judging.check_target(target, given.save or "", wishes.kind)
    if judging.is_url(target):
        try:
            nonce = wishes.nonce or judging.new_nonce()
            evidence = await ask(target, nonce, kind=wishes.kind)
        except UsageError:
            raise
        except AoError as error:
            return error
    else:
        evidence = load_evidence(read_named_file(target))
    try:
        return await judge(evidence, settings, wishes)
    except AoError as error:
        if error.stage == "evidence":
            return error
        raise


def fit(text: str) -> str:
    """A text whose lines are broken between words where the terminal is narrow."""
    width = columns()
    return wrapped_rows(text, width) if width else text


def _target(target: str | None) -> str:
    if not target:
        raise UsageError(
            "the node or file to attest is missing",
            hint="aoshell attest URL|FILE, or --explain NAME",
        )
    return target


def _settings() -> Settings | None:
    try:
        return Settings.find()
    except AoError:
        return None


def _wishes(given: argparse.Namespace) -> Wishes:
    named = {
        "vek": given.vek,
        "chain": given.chain,
        "crl": given.crl,
        "ek_chain": given.ek_chain,
    }
    files = {part: name for part, name in named.items() if name}
    return Wishes(
        read_collateral(files),
        files,
        given.at,
        given.policy or "",
        given.report_data,
        given.measurement,
        given.offline,
        given.nonce,
        given.kind,
    )


def _explained(name: str) -> str:
    from aoshell.attest.explaining import explain
    from aoshell.attest.verify import all_checks

    try:
        return explain(name)
    except KeyError:
        known = ", ".join(dict.fromkeys(one.name for one in all_checks()))
        what = f"there is no verdict, check or error {brief(name)}"
        raise UsageError(what, hint=f"there are the checks {known}") from None


def _nothing(why: AoError, given: argparse.Namespace) -> str:
    """The output if a node gave no evidence, or a file has no evidence of the kind asked for."""
    from aoshell.attest.explaining import EVIDENCE, NO_EVIDENCE

    if not given.json:
        kind = f" of the kind {given.kind}" if given.kind else ""
        first = f"INCONCLUSIVE: there is no evidence{kind} ({NO_EVIDENCE})"
        return clean(f"{first}\n{why}", colour=False)
    detail = f"{why.what} → {why.hint}" if why.hint else why.what
    check = {"name": EVIDENCE, "status": "INCONCLUSIVE", "error": NO_EVIDENCE, "detail": detail}
    nothing: dict[str, object] = {
        "verdict": "INCONCLUSIVE",
        "kind": None,
        "freshness": "unknown",
        "checks": [check],
        "report": {},
        "evidence_id": "",
    }
    return json.dumps(nothing)


def _warnings(target: str, trial: Judgement) -> list[str]:
    """Warnings beside the verdict, for stderr: stdout may be JSON."""
    warnings = []
    if judging.is_url(target) and (warning := warn_unprotected(target)):
        warnings.append(warning)
    settings = _settings()
    if settings and judging.is_url(target):
        try:
            known = AttestationPins(settings).get(trial.evidence.origin)
        except AoError as error:
            return [*warnings, str(error)]
        found = (trial.verdict.address, trial.software)
        warnings += [f"CHANGED: {change}" for change in (known.changes(*found) if known else ())]
    return warnings


def _trust(trial: Judgement, target: str) -> str:
    """What to do about software that has no name yet."""
    found = trial.verdict.report
    if found is None or trial.verdict.kind is Kind.SNP:  # there a measurement alone is not enough
        return "once you know what that is: name it in the policy, or with .trust in the shell"
    measurement = found.measurement.hex()
    return f"once you know what that is: aoshell attest {target} --measurement {measurement}"


def make_parser() -> CommandParser:
    """The parser of `aoshell attest`."""
    parser = CommandParser(
        "aoshell attest",
        usage="aoshell attest NODE|FILE [flags]",
        description="Is this node, or this report, what it says it is? (docs/attest.md)",
        epilog="Exit codes: 0 PASS, 1 FAIL, 3 INCONCLUSIVE, 2 for a wrong command line. "
        "aoshell attest measure --help: the measurement of a guest, from its files.",
        allow_abbrev=False,
    )
    flag = parser.add_argument
    what = "a URL, a report (docs/attest.md has the forms), or a kept answer"
    flag("target", nargs="?", type=file, metavar="NODE|FILE", help=what)
    vek = "certificate of the signing key, or a folder that has it"
    flag("--vek", type=file, metavar="FILE", help=vek)
    flag("--chain", type=file, metavar="FILE", help="the two certificates above it, in any order")
    flag("--crl", type=file, metavar="FILE", help="AMD's list of revoked certificates")
    above = "of a TPM: certificates above that of its endorsement key, and CRLs"
    flag("--ek-chain", type=file, metavar="FILE", help=above)
    flag("--at", type=moment, metavar="TIME", help="evaluate at: 2026-03-01[T12:00], or seconds")
    flag("--policy", type=file, metavar="FILE", help="instead of attest.toml and .trust")
    flag(
        "--report-data",
        type=octets(64),
        default=b"",
        metavar="HEX",
        help="what the report must hold",
    )
    flag("--measurement", type=octets(48), default=b"", metavar="HEX", help="the one expected")
    flag("--kind", default="", choices=KIND_NAMES, help="take evidence of this kind only")
    nonce = "32 bytes, instead of random ones; of a file, the nonce expected"
    flag("--nonce", type=octets(NONCE_SIZE), default=b"", metavar="HEX", help=nonce)
    flag("--offline", action="store_true", help="ask AMD for nothing")
    flag("--json", action="store_true", help="one object (docs/json.md)")
    flag("--save", type=named, metavar="FILE", help="keep the node's answer, for others to check")
    flag("--explain", metavar="NAME", help="what a check, an error or a verdict means")
    return parser


def moment(text: str) -> int:
    """Seconds since the Unix epoch of a time. Without a zone it is UTC."""
    if re.fullmatch("[0-9]{1,12}", text):
        return int(text)
    try:
        when = datetime.fromisoformat(text)
        zoned = when if when.tzinfo else when.replace(tzinfo=UTC)
        return int(zoned.timestamp())
    except (ValueError, OverflowError):
        raise argparse.ArgumentTypeError(f"{text!r} is not a time like 2026-03-01T12:00") from None


def octets(size: int) -> Callable[[str], bytes]:
    """Reads so many bytes in hexadecimal."""

    def read(text: str) -> bytes:
        if not re.fullmatch(f"[0-9a-fA-F]{{{2 * size}}}", text):
            raise argparse.ArgumentTypeError(f"{2 * size} hexadecimal digits are expected")
        return bytes.fromhex(text)

    return read
