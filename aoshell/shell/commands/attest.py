"""The commands .attest, .trust and .nodes: what nodes run on."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from aoshell.attest.kinds import KIND_NAMES
from aoshell.errors import AoError, UsageError
from aoshell.protocol.encoding import brief
from aoshell.protocol.url import is_web_url, unprotected
from aoshell.shell.attached.session import Session
from aoshell.shell.attestation.holding import format_time, hold_to_pin
from aoshell.shell.attestation.pins import LIFETIME, AttestationPins, Passed, Trusted
from aoshell.shell.commands import command, quoted_words, usage_error
from aoshell.shell.commands.grammar import Given
from aoshell.shell.outcome import CommandOutput
from aoshell.shell.table import Table
from aoshell.shell.view.tables import table_lines

if TYPE_CHECKING:
    from aoshell.attest.evidence import Evidence
    from aoshell.attest.policy import Image
    from aoshell.attest.tpm.roots import EkRoot
    from aoshell.shell.attestation.judging import Judgement

AT_ONCE = 8  # nodes that `.nodes` asks at the same time
_COVERS_OS = "--covers-os"
_TRUST = "once you know what that is: .trust NAME, then .attest"


@command("attest")
async def attest(session: Session, given: Given) -> CommandOutput:
    """Say whether a node is what it says it is: genuine hardware, software that you trust, its key.

    Without NODE it is the attached one. FILE is kept evidence, or a report. --save keeps the node's
    answer and what it was checked against, so that others can check it later. --kind takes evidence
    of this kind only (snp, tpm, generate, report). --offline asks AMD for nothing. aoshell attest
    has more flags; docs/attest.md explains the verdict.
    """
    return await run_attest(session, given.text)


async def run_attest(
    session: Session,
    rest: str,
    *,
    test_roots: Mapping[str, str] | None = None,
    test_ek_roots: Mapping[str, EkRoot] | None = None,
    at: int | None = None,
) -> CommandOutput:
    """Runs `.attest`.

    Args:
        test_roots, test_ek_roots: as in `verify_evidence()`, for tests only.
        at: time of evaluation, seconds since the Unix epoch; None for now. For tests only.
    """
    from aoshell.home.folders import Settings
    from aoshell.shell.attestation import judging
    from aoshell.shell.attestation.view import render_trial, warn_unprotected

    target, save, kind, offline = _arguments(rest)
    settings = Settings.find()
    judging.check_target(target, save, kind)
    evidence = await _evidence(session, target, kind)
    wishes = judging.Wishes(offline=offline, at=at, kind=kind)
    trial = await judging.judge_evidence(
        evidence, settings, wishes, test_roots=test_roots, test_ek_roots=test_ek_roots
    )
    notes = [warn_unprotected(evidence.origin)] if judging.is_url(target or evidence.origin) else []
    value = trial.verdict.as_json()
    if not target or judging.is_url(target):
        changes = _remember(session, trial, AttestationPins(settings))
        value |= {"origin": evidence.origin, "changed": list(changes)}
        notes += [f"CHANGED SINCE IT WAS ATTESTED LAST: {change}" for change in changes]
    if save:
        judging.save_trial(save, trial)
        notes.append(f"kept in {save}")
    return CommandOutput(
        value,
        text=render_trial(trial, _TRUST),
        note="\n".join(filter(None, notes)),
        ok=trial.verdict.verdict == "PASS",
    )


def _arguments(rest: str) -> tuple[str, str, str, bool]:
    """(NODE or FILE or "", FILE to save to or "", kind or "", offline)."""
    words, offline = quoted_words("attest", rest), False
    given = {"--save": "", "--kind": ""}
    targets = []
    while words:
        word = words.pop(0)
        if word in given and words and words[0]:
            given[word] = words.pop(0)
        elif word == "--offline":
            offline = True
        elif not word or word.startswith("--"):
            raise usage_error("attest", f"{word or 'nothing'} is no node and no file")
        else:
            targets.append(word)
    kind = given["--kind"]
    if kind not in ("", *KIND_NAMES):
        raise UsageError(f"{kind} is no kind of evidence", hint=f"--kind {', '.join(KIND_NAMES)}")
    if len(targets) > 1:
        raise usage_error("attest", "more than one NODE or FILE")
    return (targets[0] if targets else ""), given["--save"], kind, offline


async def _evidence(session: Session, target: str, kind: str) -> Evidence:
    from aoshell.attest.evidence import load_evidence
    from aoshell.shell.attestation import judging
    from aoshell.shell.attestation.files import read_named_file

    if target and not judging.is_url(target):
        return load_evidence(read_named_file(target))
    endpoint = target.rstrip("/")
    return await session.node.evidence(judging.new_nonce(), endpoint, kind)


def _remember(session: Session, trial: Judgement, pins: AttestationPins) -> tuple[str, ...]:
    """Pins a node that passed; returns what has changed since it was attested last."""
    verdict, origin = trial.verdict, trial.evidence.origin
    known = pins.get(origin)
    session.attested = trial
    found = (verdict.address, trial.software)
    changes = known.changes(*found) if known else ()
    pin = None
    if verdict.verdict == "PASS":
        now = int(time.time())
        passed = Passed(origin, *found, verdict.evidence_id, verdict.image, now, now + LIFETIME)
        pins.put(passed)
        pin = passed.pin()
        shown = f"attested {format_time(now)}"
    elif known and verdict.verdict == "INCONCLUSIVE" and not changes:
        # Something is missing now, but nothing contradicts the attestation that passed.
        pin = known.pin()
        shown = f"attested {format_time(known.at)}" if pin else ""
    else:
        pins.end(known)
        shown = "FAIL" if verdict.verdict == "FAIL" else ""
    if (node := session.node.remote) and node.endpoint == origin:
        hold_to_pin(session, node, pin, shown)
    return changes


@command("trust")
async def trust(session: Session, given: Given) -> CommandOutput:
    """Trust the software of the node that was attested last, under a name; or list the names.

    Trust it only if you built it yourself, or trust whoever reviewed it: genuine hardware runs any
    software. MEASUREMENT, 96 hexadecimal digits, names software without a node that runs it.
    --covers-os says that a review found the measurement to cover the operating system as well: an
    envelope of ~measurement@1.0 usually measures the firmware only.
    """
    from aoshell.attest.policy import Image
    from aoshell.home.folders import Settings
    from aoshell.shell.attestation.judging import load_user_policy

    settings = Settings.find()
    trusted = load_user_policy(settings, "").trusted
    covers_os = given.has(_COVERS_OS)
    if not given.plain and not covers_os:
        return _list_trusted(trusted)
    name, measurement = _named(given.plain)
    if not name:
        raise usage_error("trust", "NAME is missing")
    own = Trusted(settings)
    if any(one.name == name for one in trusted) and all(one.name != name for one in own.images()):
        raise UsageError(f"the policy file has the name {name} already", hint="choose another")
    found = Image("", measurement=measurement) if measurement else _attested(session)
    own.put(replace(found, name=name, covers_os=covers_os))
    text = f"{name} is trusted: {found.identity}\nthe next .attest uses it"
    return CommandOutput({"name": name, "measurement": found.identity}, text=text)


def _list_trusted(trusted: Sequence[Image]) -> CommandOutput:
    value = [
        {"name": one.name, "measurement": one.identity, "reviewed": list(one.reviewed)}
        for one in trusted
    ]
    rows = tuple((one.name, ", ".join(one.reviewed) or "-", one.identity) for one in trusted)
    if not rows:
        return CommandOutput(value, text="no software is trusted yet")
    return CommandOutput(value, text=_whole(("NAME", "REVIEWED", "MEASUREMENT"), rows))


def _whole(columns: tuple[str, ...], rows: tuple[tuple[str, ...], ...]) -> str:
    """A table as text: a table on the screen would cut the measurements, which users compare."""
    return "\n".join(table_lines(Table(columns, rows)))


def _named(rest: str) -> tuple[str, bytes]:
    """A name, which may contain blanks, and a measurement, b"" for none."""
    name, _, last = rest.rpartition(" ")
    try:
        measurement = bytes.fromhex(last) if name and len(last) == 96 else b""
    except ValueError:
        measurement = b""
    return (name.strip(), measurement) if measurement else (rest, b"")


def _attested(session: Session) -> Image:
    """The software of the node that was attested last. All but its name must be verified."""
    trial = session.attested
    if trial is None:
        raise UsageError("no node was attested yet", hint=".attest, or .trust NAME MEASUREMENT")
    doubts = {*trial.verdict.errors} - {"SOFTWARE_UNKNOWN", "SOFTWARE_UNTRUSTED"}
    found = trial.verdict.software
    if doubts or found is None:
        why = ", ".join(sorted(doubts)) or "the evidence does not show it"
        raise AoError(
            f"the software of {trial.evidence.origin} is not verified: {why}",
            stage="attest",
            hint=".attest shows what is missing; .trust NAME MEASUREMENT needs no node",
        )
    return found


@command("nodes")
async def nodes(session: Session, given: Given) -> CommandOutput:
    """Ask nodes whether they offer evidence of what they run on.

    The evidence is not checked: .attest URL does that.
    """
    urls = quoted_words("nodes", given["URL…"])
    found = await _offers(session, list(dict.fromkeys(urls)))
    rows = tuple(
        (str(one["node"]), "offered" if one["offered"] else "-", str(one["what"])) for one in found
    )
    notes = (
        ["what is offered was not checked: .attest URL does that"]
        if any(r[1] != "-" for r in rows)
        else []
    )
    notes.append(unprotected(urls))
    text = _whole(("NODE", "EVIDENCE", "WHAT"), rows)
    return CommandOutput(found, text=text, note="\n".join(filter(None, notes)))


async def _offers(session: Session, urls: Sequence[str]) -> list[dict[str, object]]:
    if wrong := [url for url in urls if not is_web_url(url)]:
        what = f"{brief(wrong[0])[1:-1]} is not the URL of a node"
        raise UsageError(what, hint="like https://node.example:8734")
    slots = asyncio.Semaphore(AT_ONCE)

    async def one(url: str) -> dict[str, object]:
        async with slots:
            offered, what = await _offer(session, url)
        return {"node": url, "offered": offered, "what": what}

    return list(await asyncio.gather(*map(one, urls)))


async def _offer(session: Session, url: str) -> tuple[bool, str]:
    """Whether a node has evidence, and what that says (unproven), or why it has none."""
    from aoshell.attest.envelope.reading import check_form
    from aoshell.attest.envelope.snp import find_report
    from aoshell.attest.kinds import Kind
    from aoshell.attest.report import Report
    from aoshell.attest.unverified import kind_of, read_raw_report

    try:
        evidence = await session.node.evidence(b"", url)
        if (exchange := evidence.exchange) and kind_of(evidence) is not Kind.SNP:
            return True, f"an envelope of {check_form(exchange.fresh)}"
        evidence = find_report(exchange) if exchange else evidence
        report = Report.parse(read_raw_report(evidence))
    except AoError as error:
        return False, f"{error.stage}: {error.what}"
    product = report.product.name if report.product else "unknown product"
    return True, f"version {report.version}, {product}, measurement {report.measurement.hex()}"
