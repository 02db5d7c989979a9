"""The parts of the node that computing needs: the log to compute from, and where answers go."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from aoshell.nodes.local.log.checkpoint import Checkpoint, Checkpoints
from aoshell.nodes.local.log.form import FlatResult
from aoshell.nodes.local.log.rows import Logged, ProcessRow
from aoshell.nodes.local.log.store import Store
from aoshell.nodes.local.processes.modules import Modules
from aoshell.nodes.local.processes.process_rows import ProcessRows
from aoshell.nodes.local.waiting.events import Events
from aoshell.nodes.local.workers.jobs import Cost
from aoshell.nodes.values import Limits


class ComputeContext(NamedTuple):
    """The same for all processes of a node.

    Attributes:
        get_limits: returns the present limits, for the next message.
        flush: writes the results of workers.
        dispatch: has the messages computed that workers have sent.
        add_result: takes outcome, cost and result of a message.
        report_stuck: takes a process that cannot be computed, and the reason.
        base_of: returns the memory that a fork begins with, and the last message in it.
    """

    store: Store
    checkpoints: Checkpoints
    processes: ProcessRows
    modules: Modules
    events: Events
    get_limits: Callable[[], Limits]
    flush: Callable[[], object]
    dispatch: Callable[[], None]
    add_result: Callable[[Logged, str, Cost, FlatResult], None]
    report_stuck: Callable[[ProcessRow, str], None]
    base_of: Callable[[ProcessRow], tuple[Checkpoint, Logged] | None]
