"""Fetches evidence of the machine that a HyperBEAM node runs on, without checking it.

The newest nodes have `~measurement@1.0`: envelopes over SEV-SNP or a TPM, made for the client's
nonce, and a secret that only the measured machine can open. Others have `~snp@1.0`, which takes no
nonce. Such a node also gets a challenge: if possible in the same request as the report
(`generate/set&challenge=…`), else in a separate request, which every HyperBEAM node answers.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from aoshell.errors import AoError, UsageError
from aoshell.nodes.remote.http.client import Client, NotHttpError
from aoshell.nodes.remote.http.progress import Waiting, disable_retries

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aoshell.attest.evidence import (
        Activation,
        Challenge,
        Evidence,
        Exchange,
        Headers,
        RawResponse,
    )
    from aoshell.nodes.remote.http.answer import Response as Received

GENERATE = "/~snp@1.0/generate"
MEASUREMENT = "/~measurement@1.0"
INFO = "/~meta@1.0/info"
BUNDLED = (("accept-bundle", "true"),)
# The signature of an envelope can be checked only in this form, which may not be the default.
SIGNED = (*BUNDLED, ("require-codec", "httpsig@1.0"))
# For values that HTTP cannot carry; this form may lose what is needed to compute ids.
AS_JSON = (*BUNDLED, ("accept", "application/json"))
SECONDS = 30.0  # for each answer
MEASURING = 60.0  # seconds; each step of measuring may take a node 30
LINKS_SECONDS = 60.0  # for all linked parts of an envelope
_NEITHER = "HyperBEAM nodes in SEV-SNP guests or with a TPM do; .nodes --tee URL… asks several"


async def ask(
    endpoint: str,
    nonce: bytes,
    waiting: Waiting | None = None,
    *,
    withholds: bool = False,
    kind: str = "",
) -> Evidence:
    """`evidence()` of a node by its URL, without retries.

    Args:
        withholds: leave the node's own words out of errors.

    Raises:
        UsageError: the endpoint is no URL of a node.
        AoError: no answer, or no evidence.
    """

    if "@" in endpoint:  # the URL is kept and shown with the evidence
        raise UsageError("a URL with a name or password in it is not asked")

    async def once() -> Evidence:
        disable_retries()
        client = Client(endpoint, waiting or Waiting())
        client.withholds = withholds
        try:
            return await evidence(client, nonce, kind)
        finally:
            await client.close()

    return await asyncio.create_task(once())


async def evidence(client: Client, nonce: bytes, kind: str = "") -> Evidence:
    """The best evidence of its machine that a node gives; with a nonce, also its present
    configuration.

    Args:
        nonce: 32 random bytes that the evidence, or the node's signature, must cover; b"" to see
            only what the node offers.
        kind: the only kind to ask for (`Kind`); "" for any.

    Raises:
        AoError: stage "evidence", it offers none; other stages, no answer.
    """
    found = await _best(client, nonce, kind)
    return replace(found, configuration=await _configuration(client)) if nonce else found


async def _best(client: Client, nonce: bytes, kind: str) -> Evidence:
    from aoshell.attest.kinds import Kind
    from aoshell.protocol.encoding import b64url

    refused = ""
    if kind != Kind.GENERATE.value:
        device, refused = await _selected(client)
        if device:
            return await _measured(client, nonce, kind, device)
    if kind not in ("", Kind.GENERATE.value):
        raise _no_kind(client.endpoint, kind, refused)
    challenge = b64url(nonce) if nonce else ""
    return await _generated(client, challenge, refused, kind)


async def _selected(client: Client) -> tuple[str, str]:
    """(the device by which a node measures itself, ""), or ("", why there is none)."""
    from aoshell.attest.envelope.reading import read_info

    answer = await _get(client, f"{MEASUREMENT}/info", SIGNED)
    device, why = read_info(_kept(answer)) if answer.ok else ("", "")
    return device, f"~measurement@1.0: {why or _instead(answer)}"


async def _measured(client: Client, nonce: bytes, kind: str, device: str) -> Evidence:
    from aoshell.attest.envelope.reading import KINDS
    from aoshell.attest.evidence import Evidence, Exchange
    from aoshell.protocol.encoding import b64url, brief

    found = KINDS[device].value if device in KINDS else "unknown"
    if kind not in ("", found):
        what = f"{client.endpoint} has evidence of {brief(device)}, not of the kind {kind}"
        raise _no_evidence(what, "leave out --kind")
    taken = int(time.time())
    boot = await _envelope(client, f"{MEASUREMENT}/boot")
    if nonce:
        fresh = await _envelope(client, f"{MEASUREMENT}/fresh?nonce={b64url(nonce)}")
        exchange = Exchange(fresh, boot, nonce, asked_now=True)
        exchange = await _with_secret(client, await _with_links(client, exchange))
    else:
        exchange = await _with_links(client, Exchange(boot))
    return Evidence(exchange=exchange, origin=client.endpoint, taken=taken)


async def _envelope(client: Client, path: str) -> RawResponse:
    from aoshell.attest.recognise import has_envelope

    answer = await _get(client, path, SIGNED, MEASURING)
    kept = _kept(answer)
    if not (answer.ok and has_envelope(kept)):
        what = f"{answer.by} does not measure itself: {_instead(answer)}"
        raise _no_evidence(what, "try again later, or ask who runs the node")
    return kept


async def _with_links(client: Client, exchange: Exchange) -> Exchange:
    """An exchange with its linked parts. Parts that the node does not give stay missing; the checks
    report them."""
    from aoshell.attest.envelope.reading import LARGEST, LinkSearch, size_of
    from aoshell.attest.recognise import has_part

    found: dict[str, RawResponse] = {}
    size, until = 0, time.monotonic() + LINKS_SECONDS
    search = LinkSearch(exchange)
    while wanted := search.wanted(exchange.links):
        for link in wanted:
            left = until - time.monotonic()
            if left <= 0:
                return exchange
            answer = await _part(client, link, min(SECONDS, left))
            kept = _kept(answer)
            if not (answer.ok and has_part(kept, link)):
                return exchange
            found[link] = kept
            size += size_of(kept)
            if size > LARGEST:
                return replace(exchange, links=found)
        exchange = replace(exchange, links=dict(found))
    return exchange


async def _part(client: Client, link: str, seconds: float) -> Received:
    try:
        return await _get(client, f"/{link}", SIGNED, seconds)
    except NotHttpError:
        # Nodes write line breaks, such as those of a PEM certificate, raw into header fields.
        return await _get(client, f"/{link}", AS_JSON, seconds)


async def _with_secret(client: Client, exchange: Exchange) -> Exchange:
    """An exchange with the node's answer to a secret, if its envelope has a key for that."""
    from aoshell.attest.envelope.activation import make_activation

    sent = make_activation(exchange)
    if sent is None:
        return exchange
    return replace(exchange, activation=await _opened(client, sent))


async def _opened(client: Client, sent: Activation) -> Activation:
    from aoshell.attest.recognise import has_proof

    try:
        answer = await _post(client, f"{MEASUREMENT}/unwrap-secret", sent.credential)
    except AoError as error:
        return replace(sent, unanswered=f"the secret was not answered: {error.what}")
    kept = _kept(answer)
    if not (answer.ok and has_proof(kept)):
        why = f"{answer.by} does not open secrets: {_instead(answer)}"
        return replace(sent, unanswered=why)
    return replace(sent, answer=kept)


async def _generated(client: Client, challenge: str, refused: str, kind: str) -> Evidence:
    """The answer of `~snp@1.0/generate`.

    Args:
        refused: why the node has no `~measurement@1.0`, "" if it was not asked.
        kind: the only kind that is accepted, "" for any.
    """
    from aoshell.attest.evidence import Challenge, Evidence
    from aoshell.attest.recognise import has_report

    taken, origin = int(time.time()), client.endpoint
    if challenge:
        both = await _get(client, f"{GENERATE}/set&challenge={challenge}")
        kept = _kept(both)
        if both.ok and _holds(kept, challenge):
            asked = Challenge(challenge)
            return Evidence(answer=kept, challenge=asked, origin=origin, taken=taken)
    answer = await _get(client, GENERATE)
    kept = _kept(answer)
    if not (answer.ok and has_report(kept)):
        why = f"~snp@1.0: {_instead(answer)}"
        if kind:
            raise _no_kind(answer.by, kind, why)
        whys = (refused, why)
        raise _no_evidence(f"{answer.by} offers no evidence: {'; '.join(filter(None, whys))}")
    proof = await _challenged(client, challenge) if challenge else None
    return Evidence(answer=kept, challenge=proof, origin=origin, taken=taken)


async def _configuration(client: Client) -> RawResponse | None:
    try:
        answer = await _get(client, INFO, SIGNED)
    except AoError:
        return None
    return _kept(answer) if answer.ok else None


async def _challenged(client: Client, value: str) -> Challenge:
    from aoshell.attest.evidence import Challenge
    from aoshell.attest.recognise import has_challenge

    try:
        answer = await _get(client, f"/~message@1.0/set&challenge={value}/challenge")
    except AoError as error:
        return Challenge(value, unanswered=f"the challenge was not answered: {error.what}")
    if not (answer.ok and has_challenge(_kept(answer), value)):
        why = f"{answer.by} does not take challenges: {_instead(answer)}"
        return Challenge(value, unanswered=why)
    return Challenge(value, _kept(answer))


def _holds(answer: RawResponse, challenge: str) -> bool:
    """Whether one signature covers both report and challenge."""
    from aoshell.attest.errors import EvidenceError
    from aoshell.attest.signed import verify_answer

    try:
        signed = verify_answer(answer)
    except EvidenceError:
        return False
    return "report" in signed.message and signed.message.get("challenge") == challenge


def _instead(answer: Received) -> str:
    """A text on an unusable answer: the node's error, or what kind of body came."""
    from aoshell.attest.recognise import is_signed

    if not answer.ok:
        return f"{answer.status} {answer.summary()}".rstrip()
    what = "another message" if is_signed(_kept(answer)) else answer.kind()
    return f"{answer.status}, but {what} in place of what was asked for"


def _no_kind(node: str, kind: str, why: str) -> AoError:
    return _no_evidence(f"{node} has no evidence of the kind {kind}: {why}", "leave out --kind")


def _no_evidence(what: str, hint: str = _NEITHER) -> AoError:
    return AoError(what, stage="evidence", hint=hint)


async def _get(
    client: Client, path: str, headers: Headers = BUNDLED, seconds: float = SECONDS
) -> Received:
    from aoshell.attest.evidence import LARGEST_BODY

    # No retries: the user must see answers that break off or lie.
    answer = await client.ask(
        "evidence", "GET", path, headers=headers, seconds=seconds, largest=LARGEST_BODY
    )
    return _from_there(client, answer, path)


async def _post(client: Client, path: str, credential: Mapping[str, str]) -> Received:
    from aoshell.attest.evidence import LARGEST_BODY
    from aoshell.protocol import wire
    from aoshell.protocol.commitment import CURRENT

    # Unsigned: attesting needs no wallet, and the node does not check who asks.
    fields, body = wire.encode({"credential": dict(credential)}, CURRENT)
    answer = await client.ask(
        "evidence",
        "POST",
        path,
        headers=(*SIGNED, *fields.items()),
        body=body or b"",
        seconds=MEASURING,
        largest=LARGEST_BODY,
    )
    return _from_there(client, answer, path)


def _from_there(client: Client, answer: Received, path: str) -> Received:
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
