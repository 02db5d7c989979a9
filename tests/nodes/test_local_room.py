"""`workers.room`: how many workers there may be."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest
from eventually import in_loop, until

from aoshell.nodes.local.workers import room
from aoshell.nodes.local.workers.room import Room, raise_descriptors
from aoshell.nodes.values import Limits

MEGABYTE = 1 << 20


class Machine:
    """What the system reports of its memory."""

    def __init__(self, folder: Path) -> None:
        self.meminfo = folder / "meminfo"
        self.group = folder / "cgroups/shell.scope"
        self.free(1000)

    def free(self, megabytes: int) -> None:
        self.meminfo.write_text(f"MemTotal: 1 kB\nMemAvailable:  {megabytes << 10} kB\nX: 1 kB\n")

    def bound(self, most: str, used: int) -> None:
        self.group.mkdir(parents=True, exist_ok=True)
        (self.group / "memory.max").write_text(f"{most}\n")
        (self.group / "memory.current").write_text(f"{used}\n")


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    made = Machine(tmp_path)
    (tmp_path / "cgroup").write_text("4:memory:/other\n0::/shell.scope\n")
    monkeypatch.setattr(room, "_MEMINFO", made.meminfo)
    monkeypatch.setattr(room, "_CGROUP", tmp_path / "cgroup")
    monkeypatch.setattr(room, "_CGROUPS", tmp_path / "cgroups")
    monkeypatch.setattr(resource, "getrlimit", lambda _what: (1 << 14, 1 << 14))
    return made


def test_a_quarter_of_the_free_memory_is_for_workers(machine: Machine) -> None:
    one = Room(lambda: 0)
    assert one.is_there(64) and one.is_there(2000)
    machine.free(751)
    assert one.is_there(2000) and one.excess(2000) == 0
    machine.free(749)
    assert not one.is_there(64) and one.is_there(63)
    assert [one.excess(live) for live in (64, 65, 72, 264)] == [0, 1, 2, 50]
    machine.free(900)
    assert one.is_there(264) and one.excess(264) == 0


def test_the_control_group_may_have_less_than_the_machine(machine: Machine) -> None:
    machine.bound(str(200 * MEGABYTE), 100 * MEGABYTE)
    one = Room(lambda: 0)
    machine.bound(str(200 * MEGABYTE), 120 * MEGABYTE)
    assert one.is_there(100)
    machine.bound(str(200 * MEGABYTE), 130 * MEGABYTE)
    assert not one.is_there(100)
    machine.bound("max", 130 * MEGABYTE)
    assert one.is_there(100)


@pytest.mark.parametrize("text", ["", "MemAvailable:", "MemAvailable: many kB", "MemTotal: 5 kB"])
def test_where_the_system_tells_nothing_a_fixed_number_may_live(
    machine: Machine, text: str
) -> None:
    machine.meminfo.write_text(text)
    one = Room(lambda: 0)
    assert one.is_there(63) and not one.is_there(64) and one.excess(64) == 0


def test_memory_that_is_told_no_more_starts_nothing_more(machine: Machine) -> None:
    one = Room(lambda: 0)
    machine.meminfo.unlink()
    assert one.is_there(63) and not one.is_there(64)


def test_the_users_own_limit_counts_alone(machine: Machine) -> None:
    wanted = [100]
    one = Room(lambda: wanted[0])
    machine.free(1)
    assert one.is_there(99) and not one.is_there(100) and one.excess(100) == 0
    wanted[0] = 2
    assert one.is_there(1) and not one.is_there(2) and one.excess(100) == 98


@pytest.mark.parametrize(
    ("what", "allowed", "workers"),
    [
        (resource.RLIMIT_NOFILE, 1024, 502),
        (resource.RLIMIT_NOFILE, 10, 1),
        (resource.RLIMIT_NPROC, 1200, 200),
    ],
)
@pytest.mark.usefixtures("machine")
def test_the_systems_limits_count(
    monkeypatch: pytest.MonkeyPatch, what: int, allowed: int, workers: int
) -> None:
    limits = {what: (allowed, allowed)}
    endless = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    monkeypatch.setattr(resource, "getrlimit", lambda one: limits.get(one, endless))
    one = Room(lambda: 0)
    assert one.is_there(workers - 1) and not one.is_there(workers)


@pytest.mark.parametrize(
    ("soft", "hard", "due"),
    [
        (1024, 4096, [(4096, 4096)]),
        (1024, 1 << 30, [(1 << 16, 1 << 30)]),
        (1024, resource.RLIM_INFINITY, [(1 << 16, resource.RLIM_INFINITY)]),
        (4096, 4096, []),
        (1 << 20, 1 << 30, []),
        (resource.RLIM_INFINITY, resource.RLIM_INFINITY, []),
    ],
)
def test_descriptors_are_raised_and_never_lowered(
    monkeypatch: pytest.MonkeyPatch, soft: int, hard: int, due: list[tuple[int, int]]
) -> None:
    given: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _what: (soft, hard))
    monkeypatch.setattr(resource, "setrlimit", lambda _what, both: given.append(both))
    raise_descriptors()
    assert given == due


@in_loop
async def test_more_processes_stay_live_than_are_sure_to(opening, monkeypatch):
    monkeypatch.setattr(room, "SURE_LIVE", 2)
    async with opening() as local:
        pids = [await local.spawn() for _ in range(8)]
        assert len(local.workers()) == 8
        assert await local.value(pids[0], "1 + 1") == "2"


@in_loop
async def test_workers_leave_where_the_limit_is_lowered(opening):
    async with opening() as local:
        pids = [await local.spawn("N = 7") for _ in range(6)]
        await local.node.set_limits(Limits(workers=2))
        await until(lambda: len(local.workers()) <= 2)
        assert [await local.value(pid, "N") for pid in pids] == ["7"] * 6
        assert len(local.workers()) <= 2


@in_loop
async def test_workers_leave_where_others_want_the_memory(opening, machine, monkeypatch):
    monkeypatch.setattr(room, "SURE_LIVE", 1)
    async with opening() as local:
        pids = [await local.spawn("N = 7") for _ in range(6)]
        assert len(local.workers()) == 6
        machine.free(100)
        await until(lambda: len(local.workers()) == 1)
        assert [await local.value(pid, "N") for pid in pids] == ["7"] * 6
