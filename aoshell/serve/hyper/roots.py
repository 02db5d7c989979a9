"""The values where paths begin: the node itself, its devices, messages by their ids."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import aoshell
from aoshell.nodes.values import NotFoundError
from aoshell.protocol.encoding import has_id_form
from aoshell.serve.asgi.http import RequestError
from aoshell.serve.hyper.call import Call
from aoshell.serve.hyper.cron import Cron
from aoshell.serve.hyper.found import (
    CRON,
    DEVICES,
    JSON_DEVICE,
    MESSAGE_DEVICE,
    META,
    PROCESS,
    RELAY,
    SCHEDULER,
    Found,
    Plain,
    error_answer,
    follow,
    missing,
    no_device,
    no_such_key,
)
from aoshell.serve.hyper.messages import signed_map
from aoshell.serve.hyper.path import Segment
from aoshell.serve.hyper.process import ServedProcess
from aoshell.serve.hyper.relay import Relay
from aoshell.serve.hyper.schedule import Schedule, schedule_message
from aoshell.serve.items import absent


async def begin(segment: Segment, call: Call) -> Found:
    """The value that the first segment of a path names.

    Raises:
        AnswerError, RequestError: it is not here.
    """
    if segment.key and has_id_form(segment.key):
        return await _by_id(segment, call)
    device = segment.device.lower()
    if device == PROCESS and segment.key:
        raise absent(segment.key)  # its text says that this is no id
    if device in (SCHEDULER, PROCESS):
        scheduler = Scheduler(device)
        return await scheduler.step(segment, call) if segment.key else scheduler
    if device == META:
        return await Meta().step(segment, call) if segment.key else Meta()
    if device == CRON and not segment.key:
        return Cron()
    if device == RELAY and not segment.key:
        return Relay()
    if device:
        return await follow(Plain(info_of(call)), segment, call)
    if segment.name == "push" and call.writes:
        return await schedule_message(call)
    if segment.name == "schedule":
        return await Scheduler().step(segment, call)
    raise missing()


async def _by_id(segment: Segment, call: Call) -> Found:
    device = segment.device.lower()
    if device not in ("", PROCESS, JSON_DEVICE, MESSAGE_DEVICE):
        raise no_device(segment.device)
    if device in ("", PROCESS) and await is_process(segment.key, call):
        return ServedProcess(segment.key)
    stored = None if device == PROCESS else await call.network.item(segment.key)
    if stored is None:
        raise absent(segment.key)
    found = Plain(await call.services.checker.run(lambda: signed_map(stored)))
    return await follow(found, replace(segment, key=""), call) if device else found


async def is_process(id_: str, call: Call) -> bool:
    """Whether an id is that of a process here."""
    try:
        await call.services.node.slots(id_)
    except NotFoundError:
        return False
    return True


class Scheduler:
    """The device scheduler@1.0 of the node, and process@1.0 where no process is named."""

    mark = None

    def __init__(self, device: str = SCHEDULER) -> None:
        self._device = device

    async def step(self, segment: Segment, call: Call) -> Found:
        if has_id_form(segment.key):
            id_ = segment.key
            raise error_answer(404, f"put the id {id_} before the device: /{id_}~{PROCESS}/…")
        if segment.name != "schedule":
            raise no_such_key(segment, f"~{self._device}")
        if call.writes:
            return await schedule_message(call)
        target = call.parameter(segment, "target")
        if not has_id_form(target):
            raise RequestError(400, "schedule needs target, the id of a process")
        if not await is_process(target, call):
            raise absent(target)
        return Schedule.asked(target, segment, call)

    async def value(self, call: Call) -> object:
        del call
        return {"device": self._device}


class Meta:
    """The device meta@1.0: facts about the node."""

    mark = ("meta",)

    async def step(self, segment: Segment, call: Call) -> Found:
        if segment.name != "info":
            raise no_such_key(segment, f"~{META}")
        return Plain(info_of(call), ("meta", "info"))

    async def value(self, call: Call) -> object:
        return info_of(call)


def info_of(call: Call) -> dict[str, Any]:
    """The value of `~meta@1.0/info`."""
    return {
        "address": call.address,
        "operator": call.address,
        "initialized": "permanent",
        "default-module": next((one.id for one in call.network.modules()), ""),
        "node": {"name": "aoshell", "version": aoshell.__version__},
        "preloaded_devices": [{"name": name} for name in DEVICES],
    }
