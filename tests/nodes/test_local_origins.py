"""What holds for a fork, and from which slot on."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from eventually import in_loop
from local_home import FullDisk
from test_local_workers import ROW, logged

from aoshell.errors import AoError, UsageError
from aoshell.nodes.local.forked.memories import Memories
from aoshell.nodes.local.forked.origins import Origins
from aoshell.nodes.local.forked.withheld import Elsewhere
from aoshell.nodes.local.log.rows import AS_NODE, OF_UNIT, Batch, Origin

POINT = 7  # the fork point
MEMORY = 4  # the slot behind which a memory is
PLAIN = Origin(1, "source", POINT, 0, 0, "", 0, 0)
HELD = PLAIN._replace(memory="digest", memory_slot=MEMORY, vouched="its compute unit")


class Known(Origins):
    """Of a home in which it is known which processes others run, too."""

    def __init__(self, store: Any, found: Elsewhere) -> None:
        super().__init__(store)
        self._found = found

    @property
    def elsewhere(self) -> Elsewhere:
        return self._found


def origins(folder: Path, origin: Origin | None, found: Elsewhere | None = None) -> Origins:
    """Of a store whose only process has that origin."""
    store = SimpleNamespace(folder=folder, origin=lambda _number: origin, process=lambda _id: ROW)
    return Known(store, found or Elsewhere([ROW.id] if origin else []))


@pytest.mark.parametrize(
    ("slot", "tick", "is_foreign"),
    [
        (0, 0, True),
        (POINT - 1, 9, True),
        (POINT, 0, True),  # what it sends was delivered elsewhere
        (POINT, 1, False),  # cron that came here
        (POINT + 1, 0, False),
    ],
)
def test_what_slots_from_elsewhere_send_is_not_delivered(
    tmp_path: Path, slot: int, tick: int, is_foreign: bool
) -> None:
    message = logged(1)._replace(slot=slot, tick=tick)
    assert origins(tmp_path, PLAIN).is_foreign(message) == is_foreign
    assert not origins(tmp_path, None).is_foreign(message)


def test_slots_from_elsewhere_are_not_taken_back(tmp_path: Path) -> None:
    for slot in (0, POINT):
        with pytest.raises(UsageError, match=f"slot {slot} comes from source"):
            origins(tmp_path, PLAIN).check_cut(ROW, slot)
    origins(tmp_path, PLAIN).check_cut(ROW, POINT + 1)
    origins(tmp_path, None).check_cut(ROW, 0)


def test_no_state_is_known_before_the_memory(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=f"memory after slot {MEMORY}, which its compute unit"):
        origins(tmp_path, HELD).check_computed_here(ROW, MEMORY - 1)
    origins(tmp_path, HELD).check_computed_here(ROW, MEMORY)
    origins(tmp_path, PLAIN).check_computed_here(ROW, 0)


def test_a_memory_is_not_copied_under_another_id(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no copy under another id"):
        origins(tmp_path, HELD).check_copied(ROW)
    origins(tmp_path, PLAIN).check_copied(ROW)
    origins(tmp_path, None).check_copied(ROW)


def test_who_takes_what_is_signed(tmp_path: Path) -> None:
    fork, own = origins(tmp_path, PLAIN), origins(tmp_path, None)
    stand_in = origins(tmp_path, None, Elsewhere([], [ROW.id]))
    assert [one.takes_unsigned(ROW) for one in (fork, stand_in, own)] == [True, True, False]
    assert [one.takes_no_signed(ROW) for one in (fork, stand_in, own)] == [True, False, False]
    with pytest.raises(AoError, match="is a fork of a live process, and this message is signed"):
        fork.check_signed(ROW, is_item=True)


def test_of_which_form_messages_are(tmp_path: Path) -> None:
    for told, form in (("", ""), (AS_NODE, ""), ('{"Id": "x"}', OF_UNIT)):
        assert origins(tmp_path, PLAIN._replace(module=told)).form_of(1) == form
    assert origins(tmp_path, None).form_of(1) == ""


def test_an_origin_is_read_again_where_its_number_may_be_another_ones(tmp_path: Path) -> None:
    one = origins(tmp_path, PLAIN)
    assert one.of(1) == PLAIN
    one._store.origin = lambda _number: None  # type: ignore[method-assign]
    assert one.of(1) == PLAIN
    one.forget_all()
    assert one.of(1) is None


@in_loop
async def test_a_process_does_not_inherit_the_origin_of_one_that_had_its_number(opening) -> None:
    """Else what it sends would be held back, as delivered elsewhere."""
    async with opening() as local:
        listener = await local.spawn()
        fork = await local.spawn()
        number = local.engine.processes.look_up(fork).number
        local.engine.store.commit(Batch(origins=[PLAIN._replace(process=number)]), sync=True)
        local.engine.start_over()
        assert local.engine.origins.of(number) is not None
        await local.node.delete(fork)
        own = await local.spawn()
        assert local.engine.processes.look_up(own).number == number
        await local.eval(own, f'Send({{Target = "{listener}", Data = "x"}})')
        assert await local.value(listener, "return #Inbox") == "2"


@in_loop
async def test_a_process_that_was_refused_leaves_no_origin(opening, monkeypatch) -> None:
    """The next one gets its number, and may be a fork."""
    async with opening() as local:
        await local.spawn()
        disk = FullDisk(local, monkeypatch, 1, lambda batch: batch.processes)
        with pytest.raises(AoError, match="full"):
            await local.node.spawn(local.definition())
        assert not disk.left
        number = local.engine.scheduler.new_process()
        local.engine.store.commit(Batch(origins=[PLAIN._replace(process=number)]), sync=True)
        assert local.engine.origins.of(number) is not None


def test_a_memory_stays_while_a_fork_begins_with_it_or_one_is_coming(tmp_path: Path) -> None:
    one, needed = origins(tmp_path, None), [True]
    one._store.select = lambda *_: [1] if needed else []  # type: ignore[method-assign]
    digest = one.memories.put(bytes(1 << 16))
    one.remove_unused(digest)
    assert one.memories.packed(digest)
    needed.clear()
    with one.coming() as coming:
        coming.put_packed(digest, one.memories.packed(digest))
        one.remove_unused(digest)
        assert one.memories.packed(digest)
    with pytest.raises(AoError, match="missing or damaged"):
        Memories(tmp_path).packed(digest)
