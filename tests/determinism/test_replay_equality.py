"""A program computed live, replayed from its log, and continued from any checkpoint is the same.

AOSHELL_EXAMPLES=20000 looks for longer, elsewhere each time.
"""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from replay_harness import Harness, Message
from replay_programs import programs

pytestmark = pytest.mark.long

MORE = int(os.environ.get("AOSHELL_EXAMPLES", "0"))


def examples(count: int) -> settings:
    return settings(
        max_examples=MORE or count,
        derandomize=not MORE,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )


@examples(25)
@given(messages=programs(stopped=False), data=st.data())
def test_replay_and_checkpoints_agree(
    harness: Harness, messages: list[Message], data: st.DataObject
) -> None:
    slots = st.integers(0, len(messages) - 1)
    images = sorted(data.draw(st.sets(slots, max_size=2), label="checkpoints"))
    harness.agree(messages, images)


@examples(6)
@given(messages=programs(stopped=True), data=st.data())
def test_stopped_messages_leave_no_trace(
    harness: Harness, messages: list[Message], data: st.DataObject
) -> None:
    images = [data.draw(st.integers(0, len(messages) - 1), label="checkpoint")]
    harness.agree(messages, images, seconds=0.2, memory=16 << 20)
