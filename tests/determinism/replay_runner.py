"""Computes programs for the harness, in an operating system process (and so with a string seed)
of its own. Reads requests and writes answers, a line of JSON each.

Request: {"messages": [message…], "images": [index…], "from": {"at": index, "image": base64},
"seconds": s, "memory": bytes, "text": whether the end is to be the state itself}. A message is
{"message": flat message} and, in a replay, "known": [outcome, error], as the log has it; without
it the message runs live, in a fork that goes on with the next one. A message that fails ends its
fork, and the parent goes on: the same roll-back as that of a worker.

Answers, in any number: {"slot": index, "outcome": …, "result": flat result} and {"image": index,
"data": base64 | null, "why": …}, then {"end": digest of the state} or
{"failed": why}, and {"done": status} at last.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any, NoReturn

ROLL_BACK = 3
UNSTABLE = ("time", "memory", "crash")

OWNER = "OWNER-ADDRESS-of-43-characters-0123456789ab"
PROCESS = "PROCESS-ID-of-43-characters-0123456789abcde"
TAGS = ["Data-Protocol", "ao", "Type", "Process", "Name", "default"]
DEFINITION = [PROCESS, OWNER, "MODULE-ID", None, None, None, *TAGS]

DIGEST = Path(__file__).with_name("digest.lua").read_text("latin-1")


def say(answer: dict[str, Any]) -> None:
    data = json.dumps(answer).encode() + b"\n"
    while data:
        data = data[os.write(1, data) :]


class Run:
    def __init__(self, request: dict[str, Any], sources: dict[str, str]) -> None:
        from aoshell.sandbox.lua import LuaRuntime

        self.messages: list[dict[str, Any]] = request["messages"]
        self.images = set(request.get("images", ()))
        self.seconds = request.get("seconds", 5.0)
        self.printed: list[str] = []
        self.runtime = LuaRuntime(sources, self.printed.append)
        self.memory = request.get("memory", 64 << 20)
        self.runtime.boot(DEFINITION)
        self.start = 0
        if "from" in request:
            self.start = request["from"]["at"] + 1
            self.runtime.restore(base64.b64decode(request["from"]["image"]))
        self.runtime.limit_memory(self.memory)
        self.whole = request.get("text", False)

    def go(self) -> None:
        for index in range(self.start, len(self.messages)):
            entry = self.messages[index]
            known = entry.get("known")
            if known and known[0] in UNSTABLE:
                self.fail(index, *known)
            elif known and known[0] == "ok":
                self.deliver(index, entry["message"])
            elif not self.in_fork(index, entry["message"]):
                return  # a fork has done the rest
            self.image(index)
        say({"end": self.digest()})

    def fail(self, index: int, outcome: str, error: str) -> None:
        self.runtime.failed(error)
        say({"slot": index, "outcome": outcome, "result": [error]})

    def in_fork(self, index: int, message: list[Any]) -> bool:
        """Compute a message in a fork. True where it is to go on: in the fork, or, when that has
        failed, in the parent."""
        read_end, write_end = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(read_end)
            return self.compute(index, message, write_end)
        os.close(write_end)
        with os.fdopen(read_end) as pipe:
            error = pipe.read()
        _pid, status = os.waitpid(child, 0)
        if os.WIFSIGNALED(status):
            outcome = "time" if os.WTERMSIG(status) == signal.SIGPROF else "crash"
            self.fail(index, outcome, outcome)
            return True
        if os.WEXITSTATUS(status) == ROLL_BACK:
            self.runtime.failed(json.loads(error))
            return True
        return False

    def deliver(self, index: int, message: list[Any]) -> str | None:
        """The error of a message."""
        from aoshell.sandbox.runtime import OutOfMemoryError

        try:
            result = list(self.runtime.deliver(message))
            outcome = "error" if result[0] else "ok"
        except OutOfMemoryError:
            outcome, result = "memory", ["memory"]
        say({"slot": index, "outcome": outcome, "result": result})
        return result[0] or None

    def compute(self, index: int, message: list[Any], pipe: int) -> bool:
        signal.setitimer(signal.ITIMER_PROF, self.seconds)
        error = self.deliver(index, message)
        signal.setitimer(signal.ITIMER_PROF, 0)
        if error is not None:
            os.write(pipe, json.dumps(error).encode()[:60000])
            os._exit(ROLL_BACK)
        os.close(pipe)
        return True

    def image(self, index: int) -> None:
        if index not in self.images:
            return
        child = os.fork()
        if child == 0:
            try:
                data, why = base64.b64encode(self.runtime.image()).decode(), ""
            except ValueError as error:
                data, why = None, str(error)
            say({"image": index, "data": data, "why": why})
            os._exit(0)
        os.waitpid(child, 0)

    def digest(self) -> str:
        if self.whole:
            return self.text()
        return hashlib.sha256(self.text().encode("latin-1")).hexdigest()

    def text(self) -> str:
        self.runtime.limit_memory(1 << 40)
        walk = self.runtime._host.raw.load(DIGEST, "=digest")
        text: str = walk(self.runtime._host)
        return text


def serve() -> NoReturn:
    from aoshell.sandbox import environment

    sources = environment.read_sources()
    for line in sys.stdin:
        # The run's forks are the parents of each other: the first one ends when all have.
        child = os.fork()
        if child == 0:
            try:
                Run(json.loads(line), sources).go()
            except Exception as error:
                say({"failed": f"{type(error).__name__}: {error}"})
            finally:
                os._exit(0)
        _pid, status = os.waitpid(child, 0)
        say({"done": status})
    os._exit(0)
