"""Renders a verdict for people: a sentence, a table of checks, key custody, and what to do next."""

from __future__ import annotations

import time
from urllib.parse import urlsplit

from aoshell.attest.checks.frame import IF_KNOWN, CheckResult, Status
from aoshell.attest.kinds import Kind
from aoshell.protocol.url import is_loopback
from aoshell.shell.attestation.judging import Judgement
from aoshell.shell.table import Table
from aoshell.shell.view.tables import table_lines
from aoshell.shell.view.text import clean_line

PASSED = Status.PASS
_KINDS = {
    Kind.REPORT: "an SEV-SNP report alone. It can show what genuine hardware launched, not when, "
    "and not who has it",
    Kind.GENERATE: "of ~snp@1.0/generate. It can show which guest has the node's key, not since "
    "when: the report has no date",
    Kind.SNP: "of ~measurement@1.0, over SEV-SNP. It can show which guest {runs}",
    Kind.TPM: "of ~measurement@1.0, over a TPM. It can show what the machine booted that {runs}. "
    "Its owner can still read its memory",
    Kind.UNKNOWN: "of ~measurement@1.0, of a device that is not checked here",
}
_UNREACHED = "not reached"


def render_trial(trial: Judgement, trust: str) -> str:
    """The whole output.

    Args:
        trust: what to do about software that has no name yet.
    """
    verdict = trial.verdict
    lines = [render_verdict(trial), "", *table_lines(_table(verdict.checks))]
    if unreached := sum(map(_is_unreached, verdict.checks)):
        were = "check was" if unreached == 1 else "checks were"
        lines.append(f"({unreached} more {were} not reached)")
    runs = "runs the node now" if verdict.freshness == "nonce" else "ran the node when it was asked"
    lines += ["", f"Evidence: {_KINDS[verdict.kind].format(runs=runs)}"]
    if verdict.custody:
        lines.append(f"Key custody: {verdict.custody.state.value}: {verdict.custody.detail}")
    if verdict.configuration_now:
        lines.append(f"Configuration now: {verdict.configuration_now}")
    lines += [f"Not available: {problem}" for problem in trial.problems]
    if (primary := verdict.primary) and (hint := _hint(primary, trust)):
        lines.append(f"→ {hint}")
    # A node's own words are in these lines, so each is made safe for a terminal.
    return "\n".join(map(clean_line, lines)).rstrip("\n")


def render_verdict(trial: Judgement) -> str:
    """The verdict in one sentence."""
    verdict, primary = trial.verdict, trial.verdict.primary
    if primary:
        so_far = "nothing is wrong so far, but " if verdict.verdict == "INCONCLUSIVE" else ""
        return f"{verdict.verdict}: {so_far}{primary.detail} ({primary.error})"
    if verdict.verdict != "PASS":
        return f"{verdict.verdict}: a check that must pass does not apply to this evidence"
    if verdict.kind is Kind.TPM:
        return f"PASS: {_tpm_sentence(trial)}"
    return f"PASS: {_amd_sentence(trial)}"


def _amd_sentence(trial: Judgement) -> str:
    verdict = trial.verdict
    hardware = f"genuine AMD hardware ({verdict.product})"
    software = verdict.image or "the measurement that was asked for"
    if verdict.kind is Kind.REPORT:
        if verdict.check("trusted-software").status is PASSED:
            return f"{hardware} signed this report of {software}; this does not show who has it"
        return f"{hardware} signed this report; its software, and who has it, were not checked"
    return (
        f"{hardware} vouches that a guest launched from {software} put the key {verdict.address} "
        f"into its report, and that key signed this answer{_when(trial)}"
    )


def _tpm_sentence(trial: Judgement) -> str:
    verdict = trial.verdict
    vendor = verdict.tpm.certificate.vendor if verdict.tpm and verdict.tpm.certificate else ""
    return (
        f"a genuine TPM ({vendor}) vouches that a machine that booted {verdict.image} runs the "
        f"node with the key {verdict.address}, and that key signed this answer{_when(trial)}"
    )


def _when(trial: Judgement) -> str:
    taken = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(trial.evidence.taken))
    return {
        "unknown": ", at an unknown time",
        "kept": f" on {taken}, as its keeper says",
    }.get(trial.verdict.freshness, " just now")


def _table(checks: tuple[CheckResult, ...]) -> Table:
    rows = (
        (one.name, one.status.value, f"{one.error}: {one.detail}" if one.error else one.detail)
        for one in checks
        if not _is_unreached(one)
    )
    return Table(("CHECK", "STATUS", "WHAT"), tuple(rows))


def _is_unreached(one: CheckResult) -> bool:
    return one.status is Status.SKIPPED and one.detail.startswith(_UNREACHED)


def _hint(primary: CheckResult, trust: str) -> str:
    return trust if primary.hint == IF_KNOWN else primary.hint


def warn_unprotected(url: str) -> str:
    """A warning if a node's answers come over unprotected HTTP, else ""."""
    if urlsplit(url).scheme != "http" or is_loopback(url):
        return ""
    return f"{url} is not https: others can read the answers, and hold them back"
