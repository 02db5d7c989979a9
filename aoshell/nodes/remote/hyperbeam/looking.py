"""Looks for messages in the logs of their targets."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from aoshell.errors import AoError
from aoshell.nodes.remote.http.client import Client
from aoshell.nodes.remote.hyperbeam.fates import Fate, FateState, has_mark, is_same, nowhere
from aoshell.nodes.remote.hyperbeam.reading import NoProcessError, Reading, slot_of
from aoshell.nodes.remote.memory import Book
from aoshell.protocol.encoding import has_id_form
from aoshell.protocol.message import Message, Outgoing

LOOKED_AT = 200  # the newest slots of a log, in which a message is searched
_LONG = f"the log of its target has more than {LOOKED_AT} newer messages"


@dataclass(frozen=True, slots=True)
class ProcessSlot:
    """A slot of a process."""

    process: str
    slot: int


class Looking(Reading):
    """The part of the node that finds messages in logs.

    Args:
        client, book: as in `Reading`.
    """

    def __init__(self, client: Client, book: Book) -> None:
        Reading.__init__(self, client, book)
        self._wallets: set[str] = set()

    def knows(self, wallets: Iterable[str]) -> None:
        self._wallets |= set(wallets)

    async def _looked_for(
        self, place: ProcessSlot, sent: Sequence[Outgoing], why: str, since: int | None = None
    ) -> list[Fate]:
        """The fates of messages, from the logs of their targets.

        Args:
            why: the reason to report for a message that is not there.
            since: time of the sending slot, milliseconds since the Unix epoch, if that may be long
                ago.
        """
        logs: dict[str, Sequence[Message] | str] = {}
        for target in {one.target for one in sent} - self._wallets:
            if has_id_form(target):
                logs[target] = await self._end_of_log(target)
        found = []
        for one in sent:
            log = logs.get(one.target, ())
            if isinstance(log, str):
                found.append(Fate(one, FateState.UNKNOWN, reason=log))
            elif not log:  # no process: its log would have the definition
                found.append(nowhere(one))
            else:
                fate = _found(one, log, place.process, why)
                if fate.state is FateState.LOST and since is not None and not _reaches(log, since):
                    fate = Fate(one, FateState.UNKNOWN, reason=_LONG)
                found.append(fate)
        return found

    async def _end_of_log(self, process: str) -> Sequence[Message] | str:
        """The newest messages of a log ([] if there is no process), or why it cannot be read."""
        try:
            last = await self.slots(process) - 1
            return await self.schedule(process, max(0, last + 1 - LOOKED_AT), last)
        except NoProcessError:
            return ()
        except AoError as error:
            return error.what


def _reaches(log: Sequence[Message], since: int) -> bool:
    """Whether the end of a log reaches back to a time (milliseconds since the Unix epoch)."""
    first = log[0].assignment
    return first is not None and (first.slot == 0 or first.timestamp <= since)


def _found(sent: Outgoing, log: Iterable[Message], process: str, why: str) -> Fate:
    """The fate of a message, from the log of its target.

    A message without a reference of its own may be an earlier, equal one.
    """
    slots = [slot_of(one) for one in log if is_same(sent, one, process)]
    if not slots:
        return Fate(sent, FateState.LOST, reason=why)
    if not has_mark(sent):
        return Fate(sent, FateState.UNKNOWN, reason=why)
    return Fate(sent, FateState.ARRIVED, slots[-1])
