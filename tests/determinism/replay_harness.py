"""Runners in other processes, and the three ways in which a program must come out the same."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

REPO = Path(__file__).resolve().parents[2]
SECONDS = 60.0  # for a whole program; nothing hangs for longer

Message = list[Any]


class Answer:
    """What a run said: outcome and result by slot, images by slot, the digest at the end."""

    def __init__(self) -> None:
        self.slots: dict[int, tuple[str, list[Any]]] = {}
        self.images: dict[int, str | None] = {}
        self.reasons: dict[int, str] = {}
        self.end: str | None = None
        self.failure = ""


class Runner:
    """A process that computes programs one after another; see replay_runner."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-S", "-c", _START, str(REPO), *sys.path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def run(self, messages: list[dict[str, Any]], **options: Any) -> Answer:
        assert self._process.stdin and self._process.stdout
        request = json.dumps({"messages": messages, **options})
        self._process.stdin.write(request.encode() + b"\n")
        self._process.stdin.flush()
        answer = Answer()
        for line in self._process.stdout:
            said = json.loads(line)
            if "slot" in said:
                answer.slots[said["slot"]] = (said["outcome"], said["result"])
            elif "image" in said:
                answer.images[said["image"]] = said["data"]
                answer.reasons[said["image"]] = said["why"]
            elif "end" in said:
                answer.end = said["end"]
            elif "failed" in said:
                answer.failure = said["failed"]
            else:
                return answer
        raise AssertionError("the runner has died")

    def close(self) -> None:
        if self._process.stdin:
            self._process.stdin.close()
        self._process.wait(SECONDS)
        if self._process.stdout:
            self._process.stdout.close()


_START = """
import sys
repo, *sys.path[:] = sys.argv[1:]
sys.path[:0] = [repo, repo + "/tests/determinism"]
import aoshell.sandbox.lua, replay_runner
replay_runner.serve()
"""


class Harness:
    """Two runners, so that a replay has another string seed and other addresses than the run."""

    def __init__(self) -> None:
        self.one, self.other = Runner(), Runner()

    def close(self) -> None:
        self.one.close()
        self.other.close()

    def agree(self, messages: list[Message], images: list[int], **options: Any) -> Answer:
        """Run live, replay, restore each image and go on; all must agree at every slot.

        Returns what the live run said.
        """
        live = self.one.run([{"message": m} for m in messages], images=images, **options)
        assert not live.failure, live.failure
        assert set(live.slots) == set(range(len(messages))), f"stopped: {live.slots}"
        log = [
            {"message": m, "known": [live.slots[i][0], live.slots[i][1][0]]}
            for i, m in enumerate(messages)
        ]
        compare(live, self.other.run(log, **options), "replayed")
        for index, image in live.images.items():
            if image is not None:
                start = {"at": index, "image": image}
                compare(live, self.other.run(log, **{**options, "from": start}), f"from {index}")
        return live


def compare(live: Answer, again: Answer, how: str) -> None:
    assert not again.failure, f"{how}: {again.failure}"
    for slot, said in again.slots.items():
        assert said == live.slots[slot], f"{how}: slot {slot}"
    assert again.end == live.end, f"{how}: the state at the end"
