"""Accepts answers of the attached node only if the attested key signed them."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

from aoshell.errors import AoError
from aoshell.nodes.values import Pin
from aoshell.shell.attestation.pins import AttestationPins

if TYPE_CHECKING:
    from aoshell.nodes.base import RemoteVerbs


class Holder(Protocol):
    """The part of a session that is needed here.

    Attributes:
        attestation: what the toolbar shows about the attached node.
    """

    attestation: str


def use_pin(session: Holder, node: RemoteVerbs) -> None:
    """Pins a node to the key that it was attested with.

    Raises:
        AoError: stage "attest": it is not attested, or no longer.
    """
    from aoshell.home.folders import Settings

    pins = AttestationPins(Settings.find())
    known = pins.get(node.endpoint)
    if known is None or (pin := known.pin()) is None:
        why = "was attested too long ago" if known and known.until else "is not attested"
        raise AoError(f"{node.endpoint} {why}", stage="attest", hint=".attest does it")
    hold_to_pin(session, node, pin, f"attested {format_time(known.at)}")


def follow_pin(session: Holder, node: RemoteVerbs) -> str:
    """Takes over the result if another shell of this home has attested the attached node again.
    Returns a text for the user, "" for none. Raises nothing.
    """
    from aoshell.home.folders import Settings

    known = None
    with suppress(AoError):
        known = AttestationPins(Settings.find()).get(node.endpoint)
    if known is None or node.pin == Pin(known.address, known.until):
        return ""
    before, pin = node.pin, known.pin()
    if before is None and pin is None:
        return ""
    shown = f"attested {format_time(known.at)}" if pin else "attest again"
    hold_to_pin(session, node, pin, shown)
    if pin is None:
        return f"{node.endpoint} did not pass when another shell attested it"
    if before and before.address != pin.address:
        return f"CHANGED: another shell attested the key {pin.address}, before {before.address}"
    return ""


def hold_to_pin(session: Holder, node: RemoteVerbs, pin: Pin | None, shown: str) -> None:
    """Pins the attached node to a key from now on, None to none. The toolbar shows `shown` for as
    long as the pin lasts.
    """
    node.pin, session.attestation = pin, shown

    def lapse() -> None:
        if node.pin == pin:
            session.attestation = "attest again"

    if pin:
        asyncio.get_running_loop().call_later(pin.until - time.time(), lapse)


def format_time(at: int) -> str:
    """A time in the user's zone, with the date if that is not today."""
    moment, today = time.localtime(at), time.localtime()
    same = moment[:3] == today[:3]
    return time.strftime("%H:%M" if same else "%Y-%m-%d %H:%M", moment)
