"""The shapes of answers, compared with recorded ones of nodes of September 2025."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import Any

from eventually import in_loop
from hyper_home import hyper_home

from aoshell.protocol.wallet import Wallet
from aoshell.serve.asgi.http import Response

COMPONENTS = re.compile(r"=\(([^)]*)\)")
TRANSPORT = {
    *("access-control-allow-methods", "access-control-allow-origin", "date", "server"),
    *("access-control-expose-headers", "transfer-encoding", "signature", "signature-input"),
    *("content-digest", "content-security-policy", "x-content-type-options"),
}


def recorded(shared: Path, name: str) -> Response:
    answer = json.loads((shared / f"vectors/hyperbeam-2025-09/sept-{name}.json").read_text())
    said = answer["response"]
    headers = tuple((name.lower(), value) for name, value in said["headers"])
    return Response(said["status"], headers, base64.b64decode(said["body_b64"]))


def fields(answer: Response) -> dict[str, str]:
    return {name: value for name, value in answer.headers if name not in TRANSPORT}


def signed_fields(answer: Response) -> set[str]:
    """What the signatures of an answer cover; both cover the same."""
    given = dict(answer.headers)["signature-input"]
    signer, hmac = COMPONENTS.findall(given)
    assert signer == hmac and 'keyid="constant:ao"' in given and 'keyid="publickey:' in given
    return set(signer.split())


def names(listed: list[dict[str, str]]) -> list[str]:
    return sorted(tag["name"] for tag in listed)


@in_loop
async def test_answers_have_the_shapes_of_a_real_node(
    shared: Path, tmp_path: Path, wallet: Wallet, other_wallet: Wallet
) -> None:
    async with hyper_home(tmp_path, other_wallet, wallet) as home:
        process = await home.spawn()
        await home.push(process, "1+1")
        of = f"/{process}~process@1.0"
        for name, path in (
            ("slot-current", f"{of}/slot/current"),
            ("address", "/~meta@1.0/info/address"),
            ("now-missing-key-404", f"{of}/now/my-key"),
            ("compute-no-such-slot-404", f"{of}/compute&slot=999/results"),
            ("schedule-aos2", f"{of}/schedule?from=1&to=1&accept=application/aos-2"),
        ):
            theirs, ours = recorded(shared, name), await home.get(path)
            assert ours.status == theirs.status, name
            assert signed_fields(ours) == signed_fields(theirs), name
            assert fields(ours).keys() - {"content-type"} == fields(theirs).keys() - {
                "content-type"
            }, name
            assert fields(ours)["ao-types"] == fields(theirs)["ao-types"], name
        assert (await home.get(f"{of}/now/my-key")).body == b"not_found"

        theirs = recorded(shared, "compute-ok")
        ours = await home.get(f"{of}/compute&slot=1/results")
        assert signed_fields(theirs) <= signed_fields(ours)


@in_loop
async def test_a_log_has_the_shape_of_a_real_one(
    shared: Path, tmp_path: Path, wallet: Wallet, other_wallet: Wallet
) -> None:
    async with hyper_home(tmp_path, other_wallet, wallet) as home:
        process = await home.spawn()
        path = f"/{process}~process@1.0/schedule"
        message = {
            **{"action": "Eval", "data": "1+1", "data-protocol": "ao", "sdk": "aoshell"},
            **{"target": process, "type": "Message", "variant": "ao.N.1"},
        }
        ours = await home.post_httpsig(path, message)
        theirs = recorded(shared, "schedule-eval")
        assert fields(ours).keys() == fields(theirs).keys()
        assert fields(ours)["ao-types"] == fields(theirs)["ao-types"]
        # A real node has signed the assignment before it had a status.
        assert signed_fields(ours) - {'"status"'} == signed_fields(theirs)
        parts = re.compile(rb'name="([^"]*)"')
        generic = re.compile(rb"commitments/[\w-]{43}")

        def shape(answer: Response) -> set[bytes]:
            return {generic.sub(b"commitments/ID", one) for one in parts.findall(answer.body)}

        assert shape(ours) == shape(theirs)

        def page(answer: Response) -> Any:
            return json.loads(answer.body)

        there = page(recorded(shared, "schedule-aos2"))
        here = page(await home.get(f"{path}?from=1&to=1&accept=application/aos-2"))
        assert here.keys() == there.keys()
        assert here["page_info"].keys() == there["page_info"].keys()
        (mine,), (their,) = here["edges"], there["edges"]
        assert mine["cursor"] == their["cursor"] == 1
        for part in ("message", "assignment"):
            assert mine["node"][part].keys() == their["node"][part].keys()
            assert names(mine["node"][part]["Tags"]) == names(their["node"][part]["Tags"])
