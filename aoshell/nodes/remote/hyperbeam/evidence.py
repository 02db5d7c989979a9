"""Evidence of what a HyperBEAM node runs on (`~snp@1.0`), as it came. Nothing is believed here.

The device takes no nonce, so a node is challenged besides: at best in the answer with the report
(`generate/set&challenge=…`), else by a question of its own, which every HyperBEAM node answers.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from aoshell.errors import AoError, UsageError
from aoshell.nodes.remote.http.client import Client
from aoshell.nodes.remote.http.progress import Waiting, disable_retries

if TYPE_CHECKING:
    from aoshell.attest.evidence import Challenge, Evidence, RawResponse
    from aoshell.nodes.remote.http.answer import Response as Received

GENERATE = "/~snp@1.0/generate"
INFO = "/~meta@1.0/info"
BUNDLED = (("accept-bundle", "true"),)
SECONDS = 30.0  # for each answer


async def ask(
    endpoint: str, challenge: str, waiting: Waiting | None = None, *, withholds: bool = False
) -> Evidence:
    """`evidence()` of a node by its URL, each question asked once.

    Args:
        withholds: leave the node's own words out of errors.

    Raises:
        UsageError: that is no URL of a node.
        AoError: no answer, or no evidence.
    """

    if "@" in endpoint:  # it would be kept and shown with the evidence
        raise UsageError("a URL with a name or password in it is not asked")

    async def once() -> Evidence:
        disable_retries()
        client = Client(endpoint, waiting or Waiting())
        client.withholds = withholds
        try:
            return await evidence(client, challenge)
        finally:
            await client.close()

    return await asyncio.create_task(once())


async def evidence(client: Client, challenge: str) -> Evidence:
    """What a node says of the machine it runs on; with a challenge, also of its configuration now.

    Args:
        challenge: a random value for it to sign, "" for none.

    Raises:
        AoError: stage "evidence", it offers none; other stages, no answer.
    """
    found = await _report(client, challenge)
    return replace(found, configuration=await _configuration(client)) if challenge else found


async def _report(client: Client, challenge: str) -> Evidence:
    from aoshell.attest.evidence import Challenge, Evidence

    taken, origin = int(time.time()), client.endpoint
    if challenge:
        both = await _get(client, f"{GENERATE}/set&challenge={challenge}")
        if both.ok and _holds(_kept(both), challenge):
            asked = Challenge(challenge)
            return Evidence(answer=_kept(both), challenge=asked, origin=origin, taken=taken)
    answer = await _get(client, GENERATE)
    if not answer.ok:
        what = f"{answer.by} offers no evidence (~snp@1.0): {answer.status} {answer.summary()}"
        raise AoError(
            what.rstrip(),
            stage="evidence",
            hint="HyperBEAM nodes in SEV-SNP guests do; .nodes --tee URL… asks several",
        )
    proof = await _challenged(client, challenge) if challenge else None
    return Evidence(answer=_kept(answer), challenge=proof, origin=origin, taken=taken)


async def _configuration(client: Client) -> RawResponse | None:
    try:
        answer = await _get(client, INFO)
    except AoError:
        return None
    return _kept(answer) if answer.ok else None


async def _challenged(client: Client, value: str) -> Challenge:
    from aoshell.attest.evidence import Challenge

    try:
        answer = await _get(client, f"/~message@1.0/set&challenge={value}/challenge")
    except AoError as error:
        return Challenge(value, unanswered=f"the challenge was not answered: {error.what}")
    if not answer.ok:
        why = f"{answer.status} {answer.summary()}".rstrip()
        return Challenge(value, unanswered=f"{answer.by} does not take challenges: {why}")
    return Challenge(value, _kept(answer))


def _holds(answer: RawResponse, challenge: str) -> bool:
    """Whether report and challenge are signed together."""
    from aoshell.attest.answer import verify_answer
    from aoshell.attest.errors import EvidenceError

    try:
        signed = verify_answer(answer)
    except EvidenceError:
        return False
    return "report" in signed.message and signed.message.get("challenge") == challenge


async def _get(client: Client, path: str) -> Received:
    from aoshell.attest.evidence import LARGEST_BODY

    # Once: what broke off or lies is for the user to see, not to be asked away.
    answer = await client.ask(
        "evidence", "GET", path, headers=BUNDLED, seconds=SECONDS, largest=LARGEST_BODY
    )
    if answer.url != client.endpoint + path:
        where = "elsewhere" if answer.withheld else f"to {answer.url}"
        raise AoError(
            f"{client.endpoint} redirects {where}",
            stage="evidence",
            hint="evidence is asked of the node itself: name that one if it is the node",
        )
    return answer


def _kept(answer: Received) -> RawResponse:
    from aoshell.attest.evidence import RawResponse

    return RawResponse(answer.headers, answer.body)
