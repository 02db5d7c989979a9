"""What aos asked in a recorded session, asked again of a node that is served.

Ids, times and keys differ, so items are signed anew, and old ids are replaced by the new ones.
"""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode

from eventually import in_loop
from recordings import exchanges
from served_node import ServedNode, served

from aoshell.protocol.ans104 import DataItem
from aoshell.protocol.message import tags_of
from aoshell.protocol.wallet import Wallet

_ID = re.compile(r"[\w-]{43}")


class Replay:
    """One recorded session against one node.

    Attributes:
        compared: how many answers were the recorded ones.
    """

    def __init__(self, on: ServedNode) -> None:
        self._on = on
        self._ids: dict[str, str] = {}
        self._cursors: dict[str, str] = {}
        self.compared = 0

    async def play(self, exchange: dict[str, Any]) -> None:
        path, query = self._path(exchange["path"])
        body = exchange["reqBody"]
        if exchange["method"] == "POST" and path == "/":
            await self._post(body)
        elif exchange["method"] == "POST":
            answer = await self._on.client.post(path, json=body["json"])
            assert answer.status_code == exchange["status"]
            self._same_shape(exchange["resBody"], answer.json())
        else:
            answer = await self._on.client.get(f"{path}?{query}")
            assert answer.status_code == exchange["status"], answer.text
            told = path.startswith("/results/")
            (self._same_page if told else self._same)(exchange["resBody"], answer.json())

    def _path(self, recorded: str) -> tuple[str, str]:
        path, _, query = recorded.partition("?")
        pairs = [
            (name, self._cursors.get(value, self._ids.get(value, value)))
            for name, value in parse_qsl(query)
        ]
        return _ID.sub(lambda found: self._ids.get(found[0], found[0]), path), urlencode(pairs)

    async def _post(self, body: dict[str, Any]) -> None:
        if "cut" in body:  # the definition: its tags are those of every aos
            old = re.search(r'"id": "([\w-]{43})"', body["cut"])
            name = re.search(r'"Name", "value": "([\w-]+)"', body["cut"])
            assert old
            item = self._on.definition(Name=name[1] if name else "rp-legacy")
        else:
            old_item = body["ans104"]
            pairs = [(tag["name"], tag["value"]) for tag in old_item["tags"]]
            target = self._ids[old_item["target"]]
            signer = self._on.signer
            item = DataItem.sign(signer, target, tags_of(pairs), old_item["data"].encode())
            old = re.match(r"([\w-]{43})", old_item["id"])
            assert old
        self._ids[old[1]] = item.id
        assert (await self._on.post(item)).json()["id"] == item.id

    def _same(self, recorded: dict[str, Any], found: Any) -> None:
        if "json" not in recorded:
            return
        expected = json.loads(
            _ID.sub(lambda id: self._ids.get(id[0], id[0]), json.dumps(recorded["json"]))
        )
        assert found == expected
        self.compared += 1

    def _same_page(self, recorded: dict[str, Any], found: Any) -> None:
        """Results that failed are in the recorded pages, and not in those of a real unit."""
        if "json" not in recorded:
            return
        edges = [edge for edge in recorded["json"]["edges"] if "Error" not in edge["node"]]
        ours = {self._ordinate(edge["cursor"]): edge for edge in found["edges"]}
        for edge in edges:
            mine = ours[self._ordinate(edge["cursor"])]
            assert mine["node"]["Output"] == edge["node"]["Output"]
            self._cursors[edge["cursor"]] = mine["cursor"]
        self.compared += 1

    def _same_shape(self, recorded: dict[str, Any], found: Any) -> None:
        if "json" in recorded:
            assert shape(found) == shape(recorded["json"])
            self.compared += 1

    @staticmethod
    def _ordinate(cursor: str) -> str:
        found: str = json.loads(base64.b64decode(cursor))["ordinate"]
        return found


def shape(value: Any) -> Any:
    """The keys of a value, without their values."""
    if isinstance(value, dict):
        return {name: shape(inner) for name, inner in value.items()}
    return [shape(inner) for inner in value[:1]] if isinstance(value, list) else None


def without_cursors(exchange: dict[str, Any]) -> bool:
    """Whether a request has no cursor from a cut answer; with one it cannot be repeated."""
    return "from=" not in exchange["path"]


@in_loop
async def test_a_session_of_aos(shared: Path, folder: Path, wallet: Wallet) -> None:
    async with served(folder, wallet) as on:
        replay = Replay(on)
        for exchange in exchanges(shared, "aos-repl-legacy.json"):
            if without_cursors(exchange):
                await replay.play(exchange)
        assert replay.compared >= 7
