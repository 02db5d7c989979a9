"""A verdict for a person: a sentence, a table, who has the key, and what to do next."""

from __future__ import annotations

import time
from urllib.parse import urlsplit

from aoshell.attest.checks.frame import CheckResult, Status
from aoshell.protocol.url import is_loopback
from aoshell.shell.attestation.judging import Trial
from aoshell.shell.outcome import Table
from aoshell.shell.view.tables import table_lines
from aoshell.shell.view.text import clean_line

PASSED = Status.PASS
_UNREACHED = "not reached"


def view(trial: Trial, trust: str) -> str:
    """All of it.

    Args:
        trust: what to do about software without a name.
    """
    verdict = trial.verdict
    lines = [sentence(trial), "", *table_lines(_table(verdict.checks))]
    if unreached := sum(map(_is_unreached, verdict.checks)):
        lines.append(f"({unreached} checks more were not reached)")
    lines.append("")
    if verdict.custody:
        lines.append(f"Key custody: {verdict.custody.state.value}: {verdict.custody.detail}")
    lines += [f"Not to be had: {problem}" for problem in trial.problems]
    if (primary := verdict.primary) and (hint := _hint(primary, trust)):
        lines.append(f"→ {hint}")
    # What a node says of itself stands in these lines, too.
    return "\n".join(map(clean_line, lines)).rstrip("\n")


def sentence(trial: Trial) -> str:
    """The verdict in one sentence."""
    verdict, primary = trial.verdict, trial.verdict.primary
    if primary:
        so_far = "nothing is wrong so far, but " if verdict.verdict == "INCONCLUSIVE" else ""
        return f"{verdict.verdict}: {so_far}{primary.detail} ({primary.error})"
    if verdict.verdict != "PASS":
        return f"{verdict.verdict}: a check that is needed does not apply to this evidence"
    hardware = f"genuine AMD hardware ({verdict.product})"
    software = verdict.image or "the measurement that was asked for"
    if trial.evidence.answer is None:
        if verdict.check("trusted-software").status is PASSED:
            return f"PASS: {hardware} signed this report of {software}; who shows it is not said"
        return (
            f"PASS: {hardware} signed this report; of which software, and who shows it, is not said"
        )
    return (
        f"PASS: {hardware} vouches that a guest launched from {software} put the key "
        f"{verdict.address} into its report, and that key signed this answer{_when(trial)}"
    )


def _when(trial: Trial) -> str:
    challenge = trial.evidence.challenge
    if challenge is None or trial.verdict.check("challenge").status is not PASSED:
        return ", nobody knows when"
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


def open_to_others(url: str) -> str:
    """A warning where what a node says comes through others unprotected, else ""."""
    if urlsplit(url).scheme != "http" or is_loopback(url):
        return ""
    return f"{url} is no https: others can read along, and withhold what they cannot change"
