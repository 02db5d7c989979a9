"""Modules that take messages as JSON, as aos does: what they are given, and what they answer."""

from __future__ import annotations

import json
from typing import Any

import pytest
from wasm_device import OWNER, PROCESS, SENDER, Device, answering, responding

from aoshell.sandbox.wasm.messages import TOO_MANY_FIELDS

ECHO_HEAD = b'{"ok":true,"response":{"Output":['


def echo(parameter: int) -> str:
    """A module whose output is a list of what it was given: 0 the message, 1 the environment."""
    given, end = f"(local.get {parameter})", 128 + len(ECHO_HEAD)
    body = f"""(local $at i32)
      (memory.copy (i32.const 128) (i32.const 64) (i32.const {len(ECHO_HEAD)}))
      (local.set $at (i32.const {end}))
      (block $done (loop $next
        (br_if $done (i32.eqz (i32.load8_u {given})))
        (i32.store8 (local.get $at) (i32.load8_u {given}))
        (local.set {parameter} (i32.add {given} (i32.const 1)))
        (local.set $at (i32.add (local.get $at) (i32.const 1)))
        (br $next)))
      (i32.store (local.get $at) (i32.const 0x7d7d5d))
      (i32.const 128)"""
    return answering(ECHO_HEAD, body=body)


# json: results -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("output", "shown", "prompt"),
    [
        ("hi", "hi", ""),
        ("", "", ""),
        (None, "", ""),
        (5, "5", ""),
        (True, "true", ""),
        (["a", 1], '["a", 1]', ""),
        ({"data": "hi", "prompt": "> "}, "hi", "> "),
        ({"data": {"output": "hi", "prompt": "p> "}}, "hi", "p> "),
        ({"data": {"output": {"a": 1}}}, '{"a": 1}', ""),
        ({"data": {"json": "x"}}, '{"json": "x"}', ""),
        ({"data": {"json": "undefined", "prompt": "p> "}}, "", "p> "),
        ({"data": 3.5, "prompt": 7}, "3.5", "7"),
        ({}, "", ""),
        ("grüße \x00 ✓", "grüße \x00 ✓".encode().decode("latin-1"), ""),
        ("\ud800|\udfff", "\ufffd|\ufffd".encode().decode("latin-1"), ""),
    ],
)
def test_every_shape_of_an_output(output: Any, shown: str, prompt: str) -> None:
    answer = Device(responding({"Output": output})).send()
    assert (answer.good, answer.prompt) == (shown, prompt)


def test_messages_spawns_and_assignments() -> None:
    tags = [{"name": "n", "value": "ü"}, {"name": "i", "value": 5}, {"name": "f", "value": 1.5}]
    odd = [{"name": "b", "value": True}, {"name": "t", "value": {"x": [1]}}, {"name": "nil"}]
    answer = Device(
        responding(
            {
                "Messages": [
                    {"Target": "t", "Data": "d", "Anchor": "a", "Tags": tags},
                    {"Tags": odd, "Data": 7},
                ],
                "Spawns": {"1": {"Data": "s", "Tags": {}}},
                "Assignments": [{"Message": "m", "Processes": ["p", "q"]}, {}],
            }
        )
    ).send()
    assert answer.good == ""
    assert answer.messages == [
        (False, "t", "d", "a", ["n", "Ã¼", "i", "5", "f", "1.5"]),
        (False, False, "7", "", ["b", "true", "t", '{"x": [1]}', "nil", ""]),
        (True, False, "s", "", []),
    ]
    assert answer.assignments == [("m", ["p", "q"]), ("", [])]


@pytest.mark.parametrize(
    ("answered", "error"),
    [
        ('{"ok":true,"response":{"Error":"boom"}}', "boom"),
        ('{"ok":true,"response":{"Error":{"a":1}}}', '{"a": 1}'),
        ('{"ok":false,"response":"why"}', "why"),
        ('{"ok":false,"response":null}', "ok = false"),
        ('{"ok":true,"response":5}', "no result"),
        ('{"ok":true}', "no {ok, response}"),
        ("[]", "no {ok, response}"),
        ("", "no JSON"),
        ("{", "no JSON"),
        (b'{"ok":true,\xff', "no JSON"),
        ("[" * 200_000, "no JSON"),
        ("1" * 100_000, "no JSON"),
        ('{"ok":true,"response":{"Messages":[5]}}', "outbox is malformed"),
        ('{"ok":true,"response":{"Messages":[{"Tags":["x"]}]}}', "outbox is malformed"),
        ('{"ok":true,"response":{"Messages":[{"Tags":[{"value":1}]}]}}', "outbox is malformed"),
        ('{"ok":true,"response":{"Assignments":[5]}}', "assignment is malformed"),
    ],
)
def test_answers_that_are_no_result(answered: str | bytes, error: str) -> None:
    assert error in Device(answering(answered)).send().error


def test_an_answer_that_is_no_utf8_keeps_its_bytes() -> None:
    answer = Device(answering(b'{"ok":true,"response":{"Output":"\xff\xfe"}}')).send()
    assert answer.good == "\xff\xfe"


@pytest.mark.parametrize("depth", [100, 900, 20_000])
def test_deep_json_is_a_result_or_an_error(depth: int) -> None:
    deep = "[" * depth + "]" * depth
    answer = Device(answering('{"ok":true,"response":{"Output":' + deep + "}}")).send()
    assert answer.error or answer.output.count("[") == depth


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize(
    ("pointer", "error"),
    [
        (-1, "a pointer is wild"),
        (-(1 << 31), "a pointer is wild"),
        (40 << 16 | 1, "a pointer is wild"),
        ((40 << 16) - 4, "has no end"),
        (40 << 16, "has no end"),
        (0, "no JSON"),
    ],
)
def test_wild_pointers(pointer: int, error: str, wide: bool) -> None:
    word = "i64" if wide else "i32"
    body = f"""(memory.fill ({word}.const {(40 << 16) - 4}) (i32.const 65) ({word}.const 4))
      ({word}.const {pointer})"""
    device = Device(answering("", body=body, wide=wide))
    assert error in device.send().error
    assert error in device.send().error


@pytest.mark.parametrize("pointer", [-(1 << 63), (1 << 63) - 1, 1 << 47, 1 << 32])
def test_wild_pointers_of_64_bits(pointer: int) -> None:
    device = Device(answering("", body=f"(i64.const {pointer})", wide=True))
    assert "a pointer is wild" in device.send().error


@pytest.mark.parametrize("wide", [False, True])
def test_malloc_that_lies(wide: bool) -> None:
    word = "i64" if wide else "i32"
    for given, error in ((0, "malloc gave no room"), (-8, "a pointer is wild")):
        text = answering("").replace("i32", word).replace("40)", "i64 40)" if wide else "40)")
        text = text.replace("(global.get $free)\n", f"({word}.const {given})\n", 1)
        assert error in Device(text).send().error


def test_a_message_as_the_module_gets_it() -> None:
    device = Device(echo(0))
    answer = device.send('a "quote" \xc3\xbc \xff \x00', Action="Eval", X_Y="z")
    (given,) = json.loads(answer.good.encode("latin-1"))
    assert given["Data"] == 'a "quote" ü \ufffd \x00'
    assert given["From"] == SENDER
    assert given["Target"] == PROCESS
    assert given["Tags"] == [
        {"name": "Action", "value": "Eval"}, {"name": "X-Y", "value": "z"}
    ]  # fmt: skip


TOO_LONG = f"the result is too long{TOO_MANY_FIELDS}"
MUCH = "x" * (11 << 20)


@pytest.mark.parametrize(
    ("response", "error"),
    [
        ({"Output": MUCH}, "the output is larger than 10 MB"),
        ({"Messages": [{"Target": "t", "Data": MUCH}]}, "Data is larger than 10 MB"),
        (
            {"Messages": [{"Target": "t", "Data": MUCH[: 9 << 20]}] * 4},
            "the result is larger than 32 MB",
        ),
        (
            {"Messages": [{"Target": "t", "Tags": [{"name": "", "value": ""}] * 100_001}]},
            TOO_LONG,
        ),
        (
            {"Assignments": [{"Message": "m", "Processes": ["p"] * 200_001}]},
            TOO_LONG,
        ),
        ({"Messages": [{}] * 70_000}, TOO_LONG),
    ],
)
def test_results_are_bounded_as_those_of_lua(response: Any, error: str) -> None:
    from aoshell.sandbox.wasm.guest import GuestError
    from aoshell.sandbox.wasm.messages import GuestResult

    with pytest.raises(GuestError, match=error):
        GuestResult.of(response).flat()


def test_an_output_of_11_mb_is_an_error() -> None:
    body = f"""(memory.grow (i32.const 200)) (drop)
      (memory.fill (i32.const 2700000) (i32.const 65) (i32.const {11 << 20}))
      (memory.copy (i32.const {2700000 - 33}) (i32.const 64) (i32.const 33))
      (i32.store (i32.const {2700000 + (11 << 20)}) (i32.const 0x7d7d22))
      (i32.const {2700000 - 33})"""
    answer = Device(answering(ECHO_HEAD[:-1] + b'"', body=body)).send()
    assert answer.error == "the output is larger than 10 MB"


def test_owner_and_process_are_in_the_environment() -> None:
    (environment,) = json.loads(Device(echo(1)).send().good)
    assert environment["Process"]["Id"] == PROCESS
    assert environment["Process"]["Owner"] == OWNER
