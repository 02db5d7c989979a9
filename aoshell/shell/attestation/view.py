"""Renders a verdict for people: a sentence, a table of checks, key custody, and what to do next."""

from __future__ import annotations

import time
from urllib.parse import urlsplit

from aoshell.attest.checks.frame import CheckResult, Status
from aoshell.attest.configuration import describe_changes
from aoshell.protocol.url import is_loopback
from aoshell.shell.attestation.judging import Trial
from aoshell.shell.outcome import Table
from aoshell.shell.view.tables import table_lines
from aoshell.shell.view.text import clean_line

PASSED = Status.PASS
_UNREACHED = "not reached"


def render_trial(trial: Trial, trust: str) -> str:
    """The whole output.

    Args:
        trust: what to do about software that has no name yet.
    """
    verdict = trial.verdict
    lines = [render_verdict(trial), "", *table_lines(_table(verdict.checks))]
    if unreached := sum(map(_is_unreached, verdict.checks)):
        lines.append(f"({unreached} more checks were not reached)")
    lines.append("")
    if verdict.custody:
        lines.append(f"Key custody: {verdict.custody.state.value}: {verdict.custody.detail}")
    lines += [f"Not available: {problem}" for problem in trial.problems]
    if (primary := verdict.primary) and (hint := _hint(primary, trust)):
        lines.append(f"→ {hint}")
    # A node's own words are in these lines, so each is made safe for a terminal.
    return "\n".join(map(clean_line, lines)).rstrip("\n")


def render_verdict(trial: Trial) -> str:
    """The verdict in one sentence."""
    verdict, primary = trial.verdict, trial.verdict.primary
    if primary:
        so_far = "nothing is wrong so far, but " if verdict.verdict == "INCONCLUSIVE" else ""
        return f"{verdict.verdict}: {so_far}{primary.detail} ({primary.error})"
    if verdict.verdict != "PASS":
        return f"{verdict.verdict}: a check that must pass does not apply to this evidence"
    hardware = f"genuine AMD hardware ({verdict.product})"
    software = verdict.image or "the measurement that was asked for"
    if trial.evidence.answer is None:
        if verdict.check("trusted-software").status is PASSED:
            return (
                f"PASS: {hardware} signed this report of {software}; this does not show who has it"
            )
        return (
            f"PASS: {hardware} signed this report; its software, and who has it, were not checked"
        )
    return (
        f"PASS: {hardware} vouches that a guest launched from {software} put the key "
        f"{verdict.address} into its report, and that key signed this answer{_when(trial)}"
    )


def _when(trial: Trial) -> str:
    challenge = trial.evidence.challenge
    if challenge is None or trial.verdict.check("challenge").status is not PASSED:
        return ", at an unknown time"
    taken = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(trial.evidence.taken))
    return " just now" if challenge.fresh else f" on {taken}, as its keeper says"


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
    return trust if primary.error == "SOFTWARE_UNKNOWN" else primary.hint


def warn_unprotected(url: str) -> str:
    """A warning if a node's answers come over unprotected HTTP, else ""."""
    if urlsplit(url).scheme != "http" or is_loopback(url):
        return ""
    return f"{url} is not https: others can read the answers, and hold them back"


def note_configuration(trial: Trial) -> str:
    """What has changed in the node's configuration since its report, "" if nothing has."""
    if trial.verdict.check("node-message").status is not PASSED:
        return ""  # then no configuration is attested
    return describe_changes(trial.evidence)
