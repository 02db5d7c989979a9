"""Makes a verdict from evidence and the user's files, for `.attest` and `aoshell attest`."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from aoshell import durable
from aoshell.attest import evidence as kept
from aoshell.attest.collateral.kds import Fetch, Kds, fetch_url
from aoshell.attest.evidence import Collateral, Evidence
from aoshell.attest.kinds import Kind
from aoshell.attest.policy import LARGEST as LARGEST_POLICY
from aoshell.attest.policy import Policy, load_policy
from aoshell.attest.unverified import kind_of
from aoshell.attest.verify import Verdict, verify_evidence
from aoshell.bounded.files import path_of, reason_of, shown
from aoshell.errors import AoError, UsageError
from aoshell.home.folders import Settings
from aoshell.protocol.encoding import b64url
from aoshell.shell.attestation.files import read_named_file, unreadable_error
from aoshell.shell.attestation.pins import Trusted

if TYPE_CHECKING:
    from aoshell.attest.tpm.roots import EkRoot


@dataclass(frozen=True, slots=True)
class Wishes:
    """The options of an attestation.

    Attributes:
        have: the user's own collateral, which is preferred to any other.
        files: the names of its files, by part of `Collateral`.
        at: time of evaluation, seconds since the Unix epoch; None for now.
        policy: a file; "" for the one of the config folder and what `.trust` named.
        report_data, measurement: what the report must hold, b"" for anything.
        offline: ask AMD's service for nothing.
        nonce: sent to a node, or expected in a file's envelope; b"" for a random one, or the one
            that the file names.
        kind: the only kind of evidence to accept, a value of `Kind`; "" for any.
    """

    have: Collateral = field(default_factory=Collateral)
    files: Mapping[str, str] = field(default_factory=dict)
    at: int | None = None
    policy: str = ""
    report_data: bytes = b""
    measurement: bytes = b""
    offline: bool = False
    nonce: bytes = b""
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict, and what it was derived from.

    Attributes:
        collateral: the verifier's.
        problems: why collateral could not be fetched, for people; () if nothing was asked for.
        at: time of evaluation, seconds since the Unix epoch.
    """

    verdict: Verdict
    evidence: Evidence
    collateral: Collateral
    problems: tuple[str, ...]
    at: int

    @property
    def software(self) -> str:
        """What identifies the software (a measurement in hexadecimal), "" if that is unknown."""
        return self.verdict.software.identity if self.verdict.software else ""


async def judge_evidence(
    evidence: Evidence,
    settings: Settings | None,
    wishes: Wishes,
    *,
    test_roots: Mapping[str, str] | None = None,
    test_ek_roots: Mapping[str, EkRoot] | None = None,
    asking: Fetch = fetch_url,
) -> Judgement:
    """Gathers what is missing and checks evidence.

    Args:
        settings: None without a home: then nothing is stored, and the default policy applies.
        test_roots, test_ek_roots: as in `verify_evidence()`, for tests only.
        asking: how AMD's service is asked.

    Raises:
        UsageError: a file that was named cannot be read, or does not fit this evidence.
        AoError: stage "policy": a policy file cannot be used.
    """
    at = int(time.time()) if wishes.at is None else wishes.at
    evidence = _as_wished(evidence, wishes)
    policy = load_user_policy(settings, wishes.policy)
    folder = settings.cache / "attest" if settings else None
    kds = Kds(folder, None if wishes.offline else asking, test_roots=test_roots)
    gathered = await kds.gather(evidence, wishes.have, at)
    verdict = verify_evidence(
        evidence,
        gathered.collateral,
        policy,
        at,
        report_data=wishes.report_data,
        measurement=wishes.measurement,
        test_roots=test_roots,
        test_ek_roots=test_ek_roots,
    )
    for one in verdict.checks:
        if name := wishes.files.get(one.unusable):
            raise UsageError(f"{name} cannot be used: {one.detail}", hint=one.hint)
    problems = () if wishes.offline else gathered.problems
    return Judgement(verdict, evidence, gathered.collateral, problems, at)


def _as_wished(evidence: Evidence, wishes: Wishes) -> Evidence:
    """Evidence with the nonce that the user expects.

    Raises:
        AoError: stage "evidence": it is of another kind than was asked for.
    """
    found = kind_of(evidence).value
    if wishes.kind not in ("", found):
        what = f"the evidence is of the kind {found}, not {wishes.kind}"
        raise AoError(what, stage="evidence", hint="leave out --kind")
    exchange = evidence.exchange
    if wishes.nonce and not exchange and not _was_asked_with(evidence, wishes.nonce):
        what = f"evidence of the kind {found} is made for no nonce, so none can be expected"
        raise UsageError(what, hint="leave out --nonce")
    if not exchange or not wishes.nonce or exchange.nonce == wishes.nonce:
        return evidence
    expected = replace(exchange, nonce=wishes.nonce, asked_now=False)
    return replace(evidence, exchange=expected)


def _was_asked_with(evidence: Evidence, nonce: bytes) -> bool:
    """Whether a node without a nonce in its evidence was challenged with this one."""
    return evidence.challenge is not None and evidence.challenge.value == b64url(nonce)


def load_user_policy(settings: Settings | None, name: str) -> Policy:
    """The policy in a file. Without a name, the one of the config folder if it is there, together
    with what `.trust` named.

    Raises:
        UsageError: it cannot be read.
        AoError: stage "policy": it is not a policy.
    """
    if name:
        return load_policy(read_named_file(name, LARGEST_POLICY), name)
    if settings is None:
        return Policy()
    path = policy_file(settings)
    policy = (
        load_policy(read_named_file(str(path), LARGEST_POLICY), str(path))
        if file_exists(path)
        else Policy()
    )
    named = {image.name for image in policy.trusted}
    more = [image for image in Trusted(settings).images() if image.name not in named]
    return replace(policy, trusted=(*policy.trusted, *more))


def policy_file(settings: Settings) -> Path:
    """Where the user's own policy is."""
    return settings.config / "attest.toml"


def file_exists(path: Path) -> bool:
    """Whether there is such a file.

    Raises:
        UsageError: this cannot be found out, for example without permission.
    """
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except (OSError, ValueError) as error:
        raise unreadable_error(str(path), error) from None
    return True


def is_url(target: str) -> bool:
    """Whether a target is the URL of a node, rather than a file."""
    return target.lower().startswith(("http://", "https://"))


def new_nonce() -> bytes:
    """32 random bytes, for evidence to be made for."""
    import secrets  # takes 1 ms, and evidence from a file needs no nonce

    return secrets.token_bytes(32)


def check_target(target: str, save: str, kind: str) -> None:
    """Refuses what cannot be done, before a node is asked.

    Args:
        target: a URL or a file; "" for the attached node.
        save: the file to save to, "" for none.
        kind: the only one to take, "" for any.

    Raises:
        UsageError: a node was asked for a report alone; or the file to save to exists, or its
            folder does not.
    """
    is_node = not target or is_url(target)
    if is_node and kind == Kind.REPORT.value:
        raise UsageError(
            "no node gives a report alone", hint="--kind report is for files; for nodes generate"
        )
    if not save:
        return
    path = path_of(save)
    if file_exists(path):
        raise UsageError(f"{shown(path)} exists already", hint="name a file that does not")
    if not path.parent.is_dir():
        raise UsageError(
            f"{shown(path)} cannot be written: there is no such folder", hint="make it first"
        )


def save_trial(name: str, trial: Judgement) -> None:
    """Writes a node's answer, and what it was checked against, to a new file.

    Raises:
        UsageError: there is no answer, or the file exists or cannot be written.
    """
    if trial.evidence.answer is None and trial.evidence.exchange is None:
        raise UsageError("only a node's answer is kept", hint="this evidence is a file already")
    path = path_of(name)
    try:
        content = kept.save_evidence(
            trial.evidence, trial.collateral.filled(trial.evidence.collateral)
        )
        durable.write(path, [content], new=True, mode=durable.USERS_FILE)
    except FileExistsError:
        raise UsageError(
            f"{shown(path)} exists already", hint="name a file that does not"
        ) from None
    except (OSError, ValueError) as error:
        what = f"{shown(path)} cannot be written: {reason_of(error)}"
        raise UsageError(what, hint="name another file") from None
