"""What nodes run on: .attest, .trust, .nodes."""

from __future__ import annotations

import asyncio
import shlex
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, cast

from aoshell.errors import AoError, UsageError
from aoshell.nodes.base import RemoteVerbs
from aoshell.nodes.values import Pin
from aoshell.protocol.url import unprotected
from aoshell.shell.attestation.holding import clock, hold
from aoshell.shell.attestation.pins import LIFETIME, AttestationPins, Passed, Trusted
from aoshell.shell.commands import command, usage_error
from aoshell.shell.outcome import CommandOutput, Table
from aoshell.shell.session import Session

if TYPE_CHECKING:
    from aoshell.attest.evidence import Evidence
    from aoshell.shell.attestation.judging import Trial

AT_ONCE = 8  # nodes that `.nodes` asks at the same time
_TRUST = "once you know what that is: .trust NAME, then .attest"


@command("attest", "[NODE|FILE] [--save FILE] [--offline]", file=True)
async def attest(session: Session, rest: str) -> CommandOutput:
    """Say whether a node is what it says it is: genuine hardware, software that you trust, its key.

    Without NODE it is the attached one; FILE is evidence that was kept, or a report. --save keeps
    what the node answered and what it was checked against, so that others can check it later.
    --offline asks AMD for nothing. aoshell attest has more flags, and docs/attest.md what it means.
    """
    return await conduct(session, rest)


async def conduct(
    session: Session,
    rest: str,
    *,
    test_roots: Mapping[str, str] | None = None,
    at: int | None = None,
) -> CommandOutput:
    """`.attest`.

    Args:
        test_roots, at: as in `attesting.judge()`, for tests only.
    """
    from aoshell.home.folders import Settings
    from aoshell.shell.attestation import judging as attesting
    from aoshell.shell.attestation.view import open_to_others, view

    target, save, offline = _arguments(rest)
    settings = Settings.find()
    evidence = await _evidence(session, target)
    wishes = attesting.Wishes(offline=offline, at=at)
    trial = await attesting.judge(evidence, settings, wishes, test_roots=test_roots)
    notes = [open_to_others(evidence.origin)] if attesting.is_url(target or evidence.origin) else []
    value = trial.verdict.as_json()
    if not target or attesting.is_url(target):
        changes = _remember(session, trial, AttestationPins(settings))
        value |= {"origin": evidence.origin, "changed": list(changes)}
        notes += [f"CHANGED SINCE IT WAS ATTESTED LAST: {change}" for change in changes]
    if save:
        attesting.keep(save, trial)
        notes.append(f"kept in {save}")
    return CommandOutput(
        value,
        text=view(trial, _TRUST),
        note="\n".join(filter(None, notes)),
        ok=trial.verdict.verdict == "PASS",
    )


def _arguments(rest: str) -> tuple[str, str, bool]:
    """(NODE or FILE or "", FILE to save to or "", offline)."""
    words, save, offline = _words("attest", rest), "", False
    targets = []
    while words:
        word = words.pop(0)
        if word == "--save" and words:
            save = words.pop(0)
        elif word == "--offline":
            offline = True
        elif word.startswith("--"):
            raise usage_error("attest")
        else:
            targets.append(word)
    if len(targets) > 1:
        raise usage_error("attest")
    return (targets[0] if targets else ""), save, offline


def _words(name: str, rest: str) -> list[str]:
    try:
        return shlex.split(rest)
    except ValueError:
        raise usage_error(name) from None


async def _evidence(session: Session, target: str) -> Evidence:
    from aoshell.attest.evidence import load
    from aoshell.shell.attestation import judging as attesting
    from aoshell.shell.attestation.files import content

    if target and not attesting.is_url(target):
        return load(content(target))
    endpoint = target.rstrip("/")
    return await session.node.evidence(attesting.new_challenge(), endpoint)


def _remember(session: Session, trial: Trial, pins: AttestationPins) -> tuple[str, ...]:
    """Keep what became of a node, and say what has changed since it was attested last."""
    verdict, origin = trial.verdict, trial.evidence.origin
    known = pins.get(origin)
    session.attested = trial
    found = (verdict.address, trial.measurement.hex())
    changes = known.changes(*found) if known else ()
    pin = None
    if verdict.verdict == "PASS":
        now = int(time.time())
        passed = Passed(origin, *found, verdict.evidence_id, verdict.image, now, now + LIFETIME)
        pins.put(passed)
        pin = Pin(passed.address, passed.until)
        said = f"attested {clock(now)}"
    elif known and verdict.verdict == "INCONCLUSIVE" and not changes:
        # Something could not be had, nothing speaks against what was seen before.
        pin = pins.pin(origin)
        said = f"attested {clock(known.at)}" if pin else ""
    else:
        pins.lapse(origin)
        said = "FAIL" if verdict.verdict == "FAIL" else ""
    if session.remote and (node := cast(RemoteVerbs, session.node)).endpoint == origin:
        hold(session, node, pin, said)
    return changes


@command("trust", "[NAME [MEASUREMENT]]")
async def trust(session: Session, rest: str) -> CommandOutput:
    """Name the software of the node that was attested last, as one that you trust; list the names.

    Name it only if you have built it yourself, or know who has reviewed it: genuine hardware runs
    anybody's software. MEASUREMENT, 96 hexadecimal digits, is for software that no node here runs.
    """
    from aoshell.attest.policy import Image
    from aoshell.home.folders import Settings
    from aoshell.shell.attestation.judging import policy_of

    settings = Settings.find()
    trusted = policy_of(settings, "").trusted
    if not rest:
        rows = tuple((one.name, one.measurement.hex() or "by its hashes") for one in trusted)
        value = [{"name": name, "measurement": measured} for name, measured in rows]
        if not rows:
            return CommandOutput(value, text="no software is trusted yet")
        return CommandOutput(value, table=Table(("NAME", "MEASUREMENT"), rows))
    name, measurement = _named(rest)
    own = Trusted(settings)
    if any(one.name == name for one in trusted) and all(one.name != name for one in own.images()):
        raise UsageError(f"the policy file has a {name} already", hint="choose another name")
    image = Image(name, measurement or _attested(session))
    own.put(image)
    found = image.measurement.hex()
    said = f"{name} is trusted: {found}\n.attest takes it into account"
    return CommandOutput({"name": name, "measurement": found}, text=said)


def _named(rest: str) -> tuple[str, bytes]:
    """A name, which may have blanks in it, and a measurement or b""."""
    name, _, last = rest.rpartition(" ")
    try:
        measurement = bytes.fromhex(last) if name and len(last) == 96 else b""
    except ValueError:
        measurement = b""
    return (name.strip(), measurement) if measurement else (rest, b"")


def _attested(session: Session) -> bytes:
    """The measurement of the node that was attested last, where all but its name is certain."""
    trial = session.attested
    if trial is None:
        raise UsageError("no node was attested yet", hint=".attest, or .trust NAME MEASUREMENT")
    doubts = {*trial.verdict.errors} - {"SOFTWARE_UNKNOWN", "SOFTWARE_UNTRUSTED"}
    if doubts or not trial.measurement:
        raise AoError(
            f"what {trial.evidence.origin} runs is not certain: {', '.join(sorted(doubts))}",
            stage="attest",
            hint=".attest says what is missing; .trust NAME MEASUREMENT takes your word",
        )
    return trial.measurement


@command("nodes", "--tee URL…")
async def nodes(session: Session, rest: str) -> CommandOutput:
    """Ask a list of nodes which of them offer evidence of what they run on.

    Evidence that is offered is not checked yet: .attest URL does that.
    """
    words = _words("nodes", rest)
    if len(words) < 2 or words[0] != "--tee":
        raise usage_error("nodes")
    found = await _offers(session, list(dict.fromkeys(words[1:])))
    columns = ("NODE", "EVIDENCE", "WHAT")
    rows = tuple((one["node"], "offered" if one["offered"] else "-", one["what"]) for one in found)
    notes = (
        ["offered is not checked: .attest URL does that"] if any(r[1] != "-" for r in rows) else []
    )
    notes.append(unprotected(words[1:]))
    table = Table(columns, cast(tuple[tuple[str, ...], ...], rows))
    return CommandOutput(found, table=table, note="\n".join(filter(None, notes)))


async def _offers(session: Session, urls: Sequence[str]) -> list[dict[str, object]]:
    if wrong := [url for url in urls if not url.startswith(("http://", "https://"))]:
        raise UsageError(f"{wrong[0]} is no URL of a node", hint="like https://node.example:8734")
    slots = asyncio.Semaphore(AT_ONCE)

    async def one(url: str) -> dict[str, object]:
        async with slots:
            offered, what = await _offer(session, url)
        return {"node": url, "offered": offered, "what": what}

    return list(await asyncio.gather(*map(one, urls)))


async def _offer(session: Session, url: str) -> tuple[bool, str]:
    """Whether a node has a report to show, and what that says unproven, or why it has none."""
    from aoshell.attest.answer import raw_report
    from aoshell.attest.report import Report

    try:
        report = Report.parse(raw_report(await session.node.evidence("", url)))
    except AoError as error:
        return False, f"{error.stage}: {error.what}"
    product = report.product.name if report.product else "product not told"
    return True, f"version {report.version}, {product}, measurement {report.measurement.hex()}"
