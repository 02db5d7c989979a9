"""The bundler: stores uploads. An upload with Type=Module becomes a module under its own id.

Source: what the uploaders of aoconnect, arbundles, turbo and permaweb-libs send and read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aoshell.serve.asgi.http import (
    JSON,
    Request,
    Response,
    json_response,
    text_response,
)
from aoshell.serve.items import Checker, keep

if TYPE_CHECKING:
    from aoshell.nodes.network_verbs import NetworkVerbs

CLIENT = "bundler"  # who sent an item, in the log
BALANCE = "1000000000000000"  # winston; nothing costs anything here


class Bundler:
    """Claims uploads of data items, and requests for prices and balances."""

    def __init__(self, network: NetworkVerbs, checker: Checker) -> None:
        self._network = network
        self._checker = checker

    async def answer(self, request: Request) -> Response | None:
        if request.method == "POST" and _is_upload(request):
            return await self._upload(request)
        match request.method, request.segments:
            case "GET", ("price", "bytes", _) | ("price", _, "bytes", _):
                return text_response("0")
            case "GET", ("account", "balance", *_):
                return json_response({"balance": BALANCE})
        return None

    async def _upload(self, request: Request) -> Response:
        item = await self._checker.item(request.body)
        await keep(self._network, item, CLIENT)
        return json_response(
            {
                "id": item.id,
                "timestamp": self._network.time,
                "version": "1.0.0",
                "dataCaches": [],
                "fastFinalityIndexes": [],
                "owner": item.owner_address,
            }
        )


def _is_upload(request: Request) -> bool:
    match request.segments:
        case ("upload",) | ("v1", "tx") | ("v1", "tx", _):
            return True
        case ("tx",):  # JSON is a transaction for the gateway
            return not request.header("content-type").startswith(JSON)
        case ("tx", token):
            return len(token) < 43  # longer ones are ids
    return False
