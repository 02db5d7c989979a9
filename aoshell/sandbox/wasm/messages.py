"""Converts messages and results between the worker's flat lists and the forms of WASM modules."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from aoshell.sandbox.wasm.guest import MAX_TEXT, GuestError

# The same as for Lua (host/bridge.lua): bytes of a whole result, and its fields.
MAX_RESULT, MAX_FIELDS = 32 << 20, 200_000
TOO_MANY_FIELDS = f": a result has {MAX_FIELDS} fields at the most, five a message and two a tag"
_HALVES = re.compile("[\ud800-\udc7f\udd00-\udfff]")


def widen(text: str) -> str:
    """One character a byte → text. Bytes that are no UTF-8 become U+FFFD, for JSON."""
    return text if text.isascii() else text.encode("latin-1").decode("utf-8", "replace")


def exact(text: str) -> str:
    """One character a byte → text, the inverse of `narrow`."""
    return text if text.isascii() else text.encode("latin-1").decode("utf-8", "surrogateescape")


def narrow(text: str) -> str:
    """Text → one character a byte."""
    if text.isascii():
        return text
    # JSON can escape halves of surrogate pairs, which have no UTF-8.
    return _HALVES.sub("\ufffd", text).encode("utf-8", "surrogateescape").decode("latin-1")


def _compact(value: object) -> str:
    """JSON as JavaScript writes it."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _pairs(flat: Sequence[str]) -> list[dict[str, str]]:
    items = iter(flat)
    return [
        {"name": widen(name), "value": widen(value)}
        for name, value in zip(items, items, strict=True)
    ]


@dataclass(frozen=True, slots=True)
class ProcessDefinition:
    """Which process it is: `LuaRuntime.boot`'s list.

    Attributes:
        module_json: for a forked process, its module as the network's compute unit describes it,
            JSON; the list has it in place of a Lua process's code. "" for any other process.
    """

    id: str
    owner: str
    module: str
    tags: list[dict[str, str]]
    module_json: str = ""

    @classmethod
    def of(cls, flat: Sequence[Any]) -> ProcessDefinition:
        process, owner, module, code, _boot_id, _boot_data, *tags = flat
        return cls(process, owner, module, _pairs(tags), widen(code or ""))

    @property
    def environment_json(self) -> str:
        """The `env` as the guest gets it."""
        if not self.module_json:
            return json.dumps(self.environment)
        about = {"Id": self.id, "Owner": self.owner, "Tags": self.tags}
        return f'{{"Process":{_compact(about)},"Module":{self.module_json}}}'

    @property
    def environment(self) -> dict[str, Any]:
        """The `env` of the json interface."""
        return {
            "Process": {"Id": self.id, "Owner": self.owner, "Tags": self.tags},
            "Module": {"Id": self.module, "Owner": self.owner, "Tags": []},
        }


@dataclass(frozen=True, slots=True)
class Delivered:
    """A message: `LuaRuntime.deliver`'s list.

    Attributes:
        signature: of a message to a forked process, "" where it has none; None for any other
            process. The list has it after the tags.
    """

    id: str
    sender: str
    owner: str
    target: str
    data: str
    anchor: str
    timestamp: int
    height: int
    nonce: int
    chain: str
    cron: bool
    read_only: bool
    tags: list[dict[str, str]]
    signature: str | None = None

    @classmethod
    def of(cls, flat: Sequence[Any]) -> Delivered:
        tags = list(flat[12:])
        signature = tags.pop() if len(tags) % 2 else None
        head: list[Any] = [*flat[:12], _pairs(tags), signature]
        return cls(*head)

    @property
    def identity(self) -> str:
        """The seed of the message's randomness."""
        return f"{self.id}:{self.timestamp}:{self.nonce}:{self.chain}"

    def tag(self, name: str) -> str | None:
        """The first value of a tag."""
        return next((tag["value"] for tag in self.tags if tag["name"] == name), None)

    def as_json(self, module: str) -> str:
        """The message in the JSON of the ao loader."""
        if self.signature is not None:
            return self._as_of_a_unit()
        message: dict[str, Any] = {
            "Id": self.id,
            "From": widen(self.sender),
            "Owner": self.owner,
            "Target": widen(self.target),
            "Data": widen(self.data),
            "Anchor": widen(self.anchor),
            "Timestamp": self.timestamp,
            "Block-Height": self.height,
            "Module": module,
            "Cron": self.cron,
            "Tags": self.tags,
        }
        if not self.cron:
            message |= {
                "Nonce": self.nonce,
                "Epoch": 0,
                "Hash-Chain": self.chain,
                "Forwarded-By": self.owner,
            }
        if self.read_only:
            message["Read-Only"] = "true"
        return json.dumps(message)

    def _as_of_a_unit(self) -> str:
        """Exactly the text that the network's compute unit gives to the guest.

        Lua's hash seed depends on this text, and so does the order of `pairs`.
        Source: permaweb/ao servers/cu, recorded in vectors/serve/cu-continue.json.
        """
        if self.cron:  # it has no id, no data and no place in the chain
            return _compact(
                {
                    "Owner": self.owner,
                    "Target": widen(self.target),
                    "From": widen(self.sender),
                    "Tags": self.tags,
                    "Timestamp": self.timestamp,
                    "Block-Height": self.height,
                    "Cron": True,
                    "Read-Only": self.read_only,
                }
            )
        message: dict[str, Any] = {
            "Id": self.id,
            "Signature": self.signature,
            "Data": widen(self.data),
            "Owner": self.owner,
            "Target": widen(self.target),
            "Anchor": widen(self.anchor) or None,
            "From": widen(self.sender),
        }
        if self.sender != self.owner:
            message["Forwarded-By"] = self.owner
        message |= {
            "Tags": self.tags,
            "Epoch": 0,
            "Nonce": self.nonce,
            "Timestamp": self.timestamp,
            "Block-Height": self.height,
            "Hash-Chain": self.chain,
            "Cron": False,
            "Read-Only": self.read_only,
        }
        return _compact(message)


@dataclass(slots=True)
class GuestResult:
    """A result; `flat()` is the list that `sandbox.lua` describes."""

    error: str = ""
    output: str = ""
    prompt: str = ""
    messages: list[tuple[bool, dict[str, Any]]] = field(default_factory=list)
    assignments: list[tuple[str, list[str]]] = field(default_factory=list)

    def show(self, printed: str) -> None:
        """Put what was printed in front of the output."""
        lines = (printed.removesuffix("\n"), self.output)
        self.output = "\n".join(line for line in lines if line)

    def flat(self) -> tuple[Any, ...]:
        """The worker's list. Raises GuestError where it is too large."""
        if self.error:
            # Keep the end: a long error has its reason there.
            error, output = narrow(self.error)[-MAX_TEXT:], narrow(self.output)[-MAX_TEXT:]
            return error, output, "", False, 0
        flat = _Bounded()
        flat.values.append(False)
        flat.text(self.output, "the output")
        flat.text(self.prompt, "the prompt")
        flat.values += [False, 0, len(self.messages)]
        for spawn, message in self.messages:
            _flatten(flat, spawn, message)
        flat.values.append(len(self.assignments))
        for message_id, processes in self.assignments:
            flat.text(message_id, "Message of an assignment")
            flat.values.append(len(processes))
            for process in processes:
                flat.text(process, "process of an assignment")
        return tuple(flat.values)

    @classmethod
    def of(cls, response: Any) -> GuestResult:
        """The result in a module's JSON. Raises GuestError where it is none."""
        if not isinstance(response, dict):
            raise GuestError("its answer is no result: an object with Output or Error")
        if response.get("Error"):
            return cls(error=shown(response["Error"]))
        output, prompt = _output(response.get("Output"))
        reply = cls(output=output, prompt=prompt)
        for spawn, name in ((False, "Messages"), (True, "Spawns")):
            reply.messages += [(spawn, _checked(entry)) for entry in _list(response.get(name))]
        for entry in _list(response.get("Assignments")):
            if not isinstance(entry, dict):
                raise GuestError("an assignment is malformed")
            processes = [shown(process) for process in _list(entry.get("Processes"))]
            reply.assignments.append((shown(entry.get("Message")), processes))
        return reply


class _Bounded:
    """Builds a worker's list, within the bounds of a result."""

    def __init__(self) -> None:
        self.values: list[Any] = []
        self._size = 0

    def text(self, value: Any, what: str) -> None:
        """Append a text. Raises GuestError."""
        narrowed = narrow(shown(value))
        self._size += len(narrowed)
        if len(narrowed) > MAX_TEXT:
            raise GuestError(f"{what} is larger than {MAX_TEXT >> 20} MB")
        if self._size > MAX_RESULT:
            raise GuestError(f"the result is larger than {MAX_RESULT >> 20} MB")
        if len(self.values) >= MAX_FIELDS:
            raise GuestError(f"the result is too long{TOO_MANY_FIELDS}")
        self.values.append(narrowed)


def _flatten(flat: _Bounded, spawn: bool, message: dict[str, Any]) -> None:
    flat.values.append(spawn)
    if message.get("Target"):
        flat.text(message["Target"], "Target")
    else:
        flat.values.append(False)
    flat.text(message.get("Data"), "Data")
    flat.text(message.get("Anchor"), "Anchor")
    flat.values.append(len(message["Tags"]))
    for tag in message["Tags"]:
        flat.text(tag["name"], "a tag's name")
        flat.text(tag["value"], "a tag's value")


def _list(value: Any) -> list[Any]:
    """A JSON array; Lua's encoders write an empty one as an object."""
    if isinstance(value, dict):
        value = list(value.values())
    return [entry for entry in value if entry is not None] if isinstance(value, list) else []


def _checked(entry: Any) -> dict[str, Any]:
    tags = _list(entry.get("Tags")) if isinstance(entry, dict) else None
    if tags is None or not all(isinstance(tag, dict) and "name" in tag for tag in tags):
        raise GuestError("a message in its outbox is malformed")
    kept = [{"name": tag["name"], "value": tag.get("value")} for tag in tags]
    checked: dict[str, Any] = entry | {"Tags": kept}
    return checked


def _output(output: Any) -> tuple[str, str]:
    """Text and prompt of an Output in any of the shapes that aos has given it."""
    if not isinstance(output, dict):
        return shown(output), ""
    data, prompt = output.get("data"), output.get("prompt")
    if isinstance(data, dict) and data.keys() & {"output", "prompt"}:  # aos 0.2
        prompt = data.get("prompt", prompt)
        data = data.get("output")
    return shown(data), shown(prompt)


def shown(value: Any) -> str:
    """A JSON value as text: a string is itself."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
