"""The device for modules of the json and the plain kind, its images and what it counts."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import wasmtime
from wasm_device import OWNER, PROCESS, SENDER, Device, answering, responding, wat

from aoshell.sandbox.wasm.binary import ModuleError
from aoshell.sandbox.wasm.engine import compile_module, engine
from aoshell.sandbox.wasm.messages import TOO_MANY_FIELDS

COUNTER = (Path(__file__).resolve().parents[2] / "examples/wasm/counter.wat").read_text()

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


# plain: parameters -----------------------------------------------------------------

NUMBERS = """(module
  (func (export "i32") (param i32) (result i32) (local.get 0))
  (func (export "i64") (param i64) (result i64) (local.get 0))
  (func (export "f32") (param f32) (result f32) (local.get 0))
  (func (export "f64") (param f64) (result f64) (local.get 0))
  (func (export "sub") (param i32 i32) (result i32) (i32.sub (local.get 0) (local.get 1)))
  (func (export "two") (result i32 f64) (i32.const 1) (f64.const 2.5))
  (func (export "nothing"))
  (func (export "vector") (param v128))
  (func (export "reference") (param externref))
  (func (export "nan") (result f64) (f64.const nan)))"""


@pytest.mark.parametrize(
    ("function", "parameters", "output"),
    [
        ("i32", [1], "1"),
        ("i32", [-1], "-1"),
        ("i32", [4294967295], "-1"),
        ("i32", [3.0], "3"),
        ("i64", [9223372036854775807], "9223372036854775807"),
        ("i64", [18446744073709551615], "-1"),
        ("f32", [0.5], "0.5"),
        ("f64", [0.1], "0.1"),
        ("f64", [7], "7.0"),
        ("f64", [math.inf], "inf"),
        ("f64", [-0.0], "-0.0"),
        ("sub", [5, 7], "-2"),
        ("two", [], "[1, 2.5]"),
        ("nothing", [], ""),
        ("nan", [], "nan"),
    ],
)
def test_typed_parameters(function: str, parameters: list[Any], output: str) -> None:
    assert Device(NUMBERS).call(function, *parameters).good == output


@pytest.mark.parametrize(
    ("function", "parameters", "error"),
    [
        ("i32", [4294967296], "4294967296 is no i32"),
        ("i32", [-2147483649], "is no i32"),
        ("i32", [1.5], "1.5 is no i32"),
        ("i32", [math.nan], "nan is no i32"),
        ("i32", [math.inf], "inf is no i32"),
        ("i32", [10**400], "is no i32"),
        ("i64", [1 << 64], "is no i64"),
        ("f64", [10**400], "too large for f64"),
        ("i32", [], "i32 takes i32: 0 parameters"),
        ("i32", [1, 2], "takes fewer"),
        ("i32", [True], "neither a number nor a string"),
        ("i32", [None], "neither a number nor a string"),
        ("i32", [[1]], "neither a number nor a string"),
        ("sub", [1], "sub takes i32, i32: 1 parameters"),
        ("i32", ["text"], "no malloc for a string"),
        ("absent", [1], "there is no export 'absent'"),
        ("memory", [1], "there is no export 'memory'"),
    ],
)
def test_parameters_that_do_not_fit(function: str, parameters: list[Any], error: str) -> None:
    device = Device(NUMBERS)
    assert error in device.call(function, *parameters).error
    assert device.call("sub", 3, 1).good == "2"


@pytest.mark.parametrize("function", ["vector", "reference"])
def test_types_that_no_message_can_give(function: str) -> None:
    assert Device(NUMBERS).call(function, 1).error


@pytest.mark.parametrize("given", ["", "{", "5", '{"a":1}', "[" * 100_000])
def test_parameters_that_are_no_list(given: str) -> None:
    assert "Parameters is no" in Device(NUMBERS).send(Function="i32", Parameters=given).error


def test_which_function_is_called() -> None:
    several = Device(NUMBERS).send().error
    assert several.startswith("give Function: one of i32, i64")
    single = '(module (func (export "only") (result i32) (i32.const 7)))'
    assert Device(single).send().good == "7"
    default = single.replace('"only"', '"handle"').removesuffix(")") + '(func (export "other")))'
    assert Device(default).send().good == "7"


def test_messages_of_other_actions_change_nothing() -> None:
    device = Device(COUNTER)
    assert device.send(Action="Ping").good == "nothing takes Action = Ping"
    assert device.send(Action="", Type="Process").good == ""
    assert device.send("x").good == "call 1: x"


def test_an_answer_goes_to_whom_asked() -> None:
    answer = Device(COUNTER).send(InputData="in ü", Reference="77")
    assert answer.good == "call 1: in Ã¼"
    tags = ["Action", "ExecuteFunction-Result", "Function", "handle", "X-Reference", "77"]
    assert answer.messages == [(False, SENDER, "call 1: in Ã¼", "", tags)]
    assert "X-Reference" not in Device(COUNTER).send().messages[0][4]


# plain: strings -----------------------------------------------------------------

C_STRINGS = """(module (memory (export "memory") 2)
  (global $free (mut i32) (i32.const 1024))
  (func $malloc (export "malloc") (param i32) (result i32)
    (global.get $free) (global.set $free (i32.add (global.get $free) (local.get 0))))
  (func (export "same") (param i32) (result i32) (local.get 0))
  (func (export "length") (param i32 i32) (result i32) (local.get 1))
  (func (export "tail") (param i32 i32) (result i64)
    (i64.or (i64.shl (i64.extend_i32_u (i32.add (local.get 0) (i32.const 1))) (i64.const 32))
      (i64.extend_i32_u (i32.sub (local.get 1) (i32.const 1)))))
  (func (export "wild") (param i32 i32) (result i64) (i64.const -1))
  (func (export "second") (param i32 i32) (result i32) (local.get 1))
  (func (export "three") (param i32 i32 i32) (result i32) (local.get 2))
  (func (export "million") (param i32) (result i64) (i64.const 4000000000000))
  (func (export "half") (param f64) (result f64) (local.get 0))
  (func (export "none"))
  (data (i32.const 900) "low") (data (i32.const 80000) "\\01\\02"))"""


def test_strings_by_malloc() -> None:
    device = Device(C_STRINGS)
    assert device.call("same", "grüße").good == "grÃ¼Ã\x9fe"
    assert device.call("same", "\ud800").good == "?"
    assert device.call("tail", "hello").good == "ello"
    assert device.call("tail", "h").good == ""
    assert device.call("tail", "\x01\x02").good == "\x02"
    assert device.call("three", "ab", 1024).good == "grÃ¼Ã\x9fe"
    assert device.call("second", "ab", 1024).good == "grÃ¼Ã\x9fe"  # as many as it takes


@pytest.mark.parametrize(
    ("function", "parameters", "number"),
    [
        ("length", ["hello"], "5"),
        ("second", ["ab", 5000], "5000"),  # nothing is there
        ("second", ["ab", 1 << 30], "1073741824"),
        ("second", ["ab", -1], "-1"),
        ("second", ["ab", 900], "900"),  # text, but below all data
        ("second", ["ab", 80000], "80000"),  # no text
        ("second", [1, 1024], "1024"),  # no string was given
        ("wild", ["x"], "-1"),
        ("million", ["x"], "4000000000000"),
    ],
)
def test_answers_that_are_numbers(function: str, parameters: list[Any], number: str) -> None:
    device = Device(C_STRINGS)
    device.call("same", "text at 1024")
    assert device.call(function, *parameters).good == number


def test_an_answer_is_of_the_type_that_is_asked_for() -> None:
    device = Device(C_STRINGS)

    def ask(kind: str, function: str, *parameters: Any) -> Any:
        given = json.dumps(parameters)
        return device.send(Function=function, Parameters=given, Result_Type=kind)

    assert ask("text", "same", "").good == ""
    assert ask("number", "same", "text").good == "1025"
    assert ask("text", "second", 0, 900).good == "low"
    assert "a pointer is wild" in ask("text", "wild", "x").error
    assert "an answer of nothing is no string" in ask("text", "none").error
    assert "Result-Type is text or number, not 'json'" in ask("json", "same", "x").error


def test_a_string_is_no_float() -> None:
    assert "no string is f64" in Device(C_STRINGS).send("5", Function="half").error


ASSEMBLY_SCRIPT = """(module (memory (export "memory") 1)
  (global $free (mut i32) (i32.const 1024))
  (func $new (export "__new") (param $size i32) (param $id i32) (result i32)
    (global.set $free (i32.add (global.get $free) (i32.const 256)))
    (i32.store (i32.sub (global.get $free) (i32.const 8)) (local.get $id))
    (i32.store (i32.sub (global.get $free) (i32.const 4)) (local.get $size))
    (global.get $free))
  (func (export "__pin") (param i32) (result i32) (local.get 0))
  (func (export "__unpin") (param i32))
  (func (export "__collect"))
  (func (export "same") (param i32) (result i32) (local.get 0))
  (func (export "none") (result i32) (call $new (i32.const 0) (i32.const 2)))
  (func (export "other") (result i32) (call $new (i32.const 4) (i32.const 5)))
  (func (export "size") (param i32) (result i32)
    (i32.load (i32.sub (local.get 0) (i32.const 4))))
  (func (export "big") (param i32) (result i64) (i64.const 0x40000000004)))"""


def test_strings_of_assembly_script() -> None:
    device = Device(ASSEMBLY_SCRIPT)
    assert device.send("hi", Function="same").good == "hi"
    assert device.call("same", "ü𝄞").good == "ü𝄞".encode().decode("latin-1")
    assert device.call("none").good == ""
    assert device.call("size", "four").good == "8"
    assert device.call("big", "").good == str(0x40000000004)
    assert device.call("other").good.isdecimal()
    for given in (0, -1, 5, 65536):
        assert device.call("same", given).good == str(given)
    tags = {"Parameters": "[5]", "Result_Type": "text"}
    assert "a pointer is wild" in device.send(Function="same", **tags).error
    tags["Parameters"] = "[]"
    assert "points to no String" in device.send(Function="other", **tags).error


# What is printed -----------------------------------------------------------------

PRINTING = """(module
  (import "wasi_snapshot_preview1" "fd_write"
    (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "\\10\\00\\00\\00\\08\\00\\00\\00") (data (i32.const 16) "gr\\c3\\bcezi\\0a")
  (func $say (export "say")
    (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 12))))
  (func (export "answer") (result i32) (call $say) (call $say) (i32.const 7))
  (func (export "flood") (loop (call $say) (br 0)))
  (func (export "fail") (call $say) unreachable))"""


def test_what_is_printed_stands_in_front_of_the_output() -> None:
    device = Device(PRINTING)
    printed = "grüezi".encode().decode("latin-1")
    assert device.call("say").good == printed
    answer = device.call("answer")
    assert answer.good == f"{printed}\n{printed}\n7"
    assert answer.messages[0][2] == "7"
    failed = device.call("fail")
    assert (failed.error, failed.output) == (
        "wasm `unreachable` instruction executed",
        f"{printed}\n",
    )
    assert device.printed == [f"{printed}\n"] * 4


def test_what_a_json_module_prints_is_shown_too() -> None:
    text = (
        responding({"Output": "answer"})
        .replace(
            "(module",
            """(module (import "wasi_snapshot_preview1" "fd_write"
          (func $write (param i32 i32 i32 i32) (result i32)))""",
            1,
        )
        .replace(
            "(result i32)\n        (i32.const 64)",
            """(result i32)
        (i32.store (i32.const 0) (i32.const 71)) (i32.store (i32.const 4) (i32.const 2))
        (drop (call $write (i32.const 2) (i32.const 0) (i32.const 1) (i32.const 12)))
        (i32.const 64)""",
        )
    )
    assert Device(text).send().good == "tr\nanswer"


# State -----------------------------------------------------------------

STATE = """(module (memory 1 20)
  (global $a (mut i32) (i32.const 0)) (global $b (mut i64) (i64.const 0))
  (global $c (mut f32) (f32.const 0)) (global $d (mut f64) (f64.const 0))
  (func (export "set") (param i32 i64 f32 i64)
    (global.set $a (local.get 0)) (global.set $b (local.get 1))
    (global.set $c (local.get 2)) (global.set $d (f64.reinterpret_i64 (local.get 3)))
    (drop (memory.grow (i32.const 2)))
    (i32.store8 (i32.sub (i32.shl (memory.size) (i32.const 16)) (i32.const 1)) (local.get 0)))
  (func (export "get") (result i32 i64 f32 i64 i32 i32)
    (global.get $a) (global.get $b) (global.get $c) (i64.reinterpret_f64 (global.get $d))
    (memory.size)
    (i32.load8_u (i32.sub (i32.shl (memory.size) (i32.const 16)) (i32.const 1)))))"""


@pytest.mark.parametrize("bits", [0, 0x7FF8_0000_0000_1234, -1, 0x7FF0_0000_0000_0000])
def test_an_image_is_the_whole_state(bits: int) -> None:
    device = Device(STATE)
    assert device.call("set", -5, -(1 << 62), 0.1, bits).good == ""
    image = device.runtime.image()
    other = Device(STATE)
    other.runtime.restore(image)
    assert other.runtime.image() == image
    assert other.call("get").good == device.call("get").good
    assert other.runtime.memory == 3 << 16


def test_the_same_messages_give_the_same_image() -> None:
    images = set()
    for _ in range(2):
        device = Device(COUNTER)
        for at in range(5):
            device.send(f"message {at}")
        images.add(device.runtime.image())
    assert len(images) == 1


def test_a_runtime_without_a_state_has_no_image() -> None:
    with pytest.raises(ValueError, match="not started"):
        Device(COUNTER).runtime.image()


@pytest.mark.parametrize(
    "image", [b"", b"{}", b"[]\n", b'{"globals": [], "pages": 9}\n' + b"x" * 9]
)
def test_images_that_are_none(image: bytes) -> None:
    with pytest.raises(ValueError):
        Device(COUNTER).runtime.restore(image)


def test_an_image_beyond_the_memory_limit() -> None:
    device = Device(STATE)
    device.call("set", 1, 1, 1, 1)
    with pytest.raises(ValueError, match="cannot grow"):
        Device(STATE, memory=2 << 16).runtime.restore(device.runtime.image())


# Traps, limits, imports -----------------------------------------------------------------

TRAPS = """(module (memory (export "memory") 1) (table $t 1 funcref)
  (tag $e)
  (func (export "fine") (result i32) (i32.const 7))
  (func (export "unreachable") unreachable)
  (func (export "divide") (result i32) (i32.div_u (i32.const 1) (i32.const 0)))
  (func (export "far") (result i32) (i32.load (i32.const 65536)))
  (func $deep (export "deep") (call $deep))
  (func (export "null") (call_indirect $t (i32.const 0)))
  (func (export "throw") (throw $e))
  (func (export "table") (result i32)
    (table.grow $t (ref.null func) (i32.const 100000000)))
  (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0))))"""


@pytest.mark.parametrize(
    ("function", "error"),
    [
        ("unreachable", "unreachable"),
        ("divide", "divide by zero"),
        ("far", "out of bounds memory access"),
        ("deep", "call stack exhausted"),
        ("null", "uninitialized element"),
        ("throw", "thrown Wasm exception"),
    ],
)
def test_traps_are_told_in_a_line(function: str, error: str) -> None:
    device = Device(TRAPS)
    found = device.call(function).error
    assert error in found
    assert "\n" not in found
    assert device.call("fine").good == "7"


def test_growth_past_the_limit_is_the_guests_to_know() -> None:
    device = Device(TRAPS, memory=10 << 16)
    assert device.call("grow", 9).good == "1"
    assert device.call("grow", 1).good == "-1"
    assert device.call("grow", 0).good == "10"
    assert device.call("table").good == "-1"


SPIN = """(module (global $n (mut i32) (i32.const 0))
  (func (export "spin") (param i32) (result i32)
    (loop $again (global.set $n (i32.add (global.get $n) (i32.const 1)))
      (br_if $again (i32.lt_u (global.get $n) (local.get 0)))) (global.get $n)))"""


def test_gas_is_exact_and_the_same_each_time() -> None:
    used = []
    for _ in range(2):
        device = Device(SPIN, gas=10_000)
        assert device.call("spin", 100).good == "100"
        used.append(device.runtime.gas_used)
    assert used[0] == used[1] > 500
    exact = Device(SPIN, gas=used[0] + 1)
    assert exact.call("spin", 100).good == "100"
    short = Device(SPIN, gas=used[0] // 2)
    assert "out of gas" in short.call("spin", 100).error
    assert Device(SPIN).call("spin", 100).good == "100"


@pytest.mark.parametrize(
    ("start", "error"),
    [
        ("(func $s unreachable) (start $s)", "unreachable"),
        ("(func $s (call $s)) (start $s)", "call stack exhausted"),
        ('(memory 1) (data (i32.const 65535) "ab")', "out of bounds"),
        ("(memory 2000)", "exceeds memory limits"),
        ('(memory (import "env" "memory") 1)', "env.memory, which is no function"),
        ('(global (import "env" "g") i32)', "env.g, which is no function"),
    ],
)
def test_modules_that_do_not_start(start: str, error: str) -> None:
    device = Device(f'(module {start} (func (export "f")))')
    for _ in range(2):
        found = device.send().error
        assert found.startswith("the module does not start: ")
        assert error in found


def test_gas_counts_at_the_start_too() -> None:
    text = '(module (func $s (loop (br 0))) (start $s) (func (export "f")))'
    assert "does not start: out of gas" in Device(text, gas=1000).send().error


def imports(name: str, signature: str, call: str) -> str:
    return f"""(module (import "env" "{name}" (func $f {signature}))
      (memory (export "memory") 1) (func (export "go") (result i32) {call}))"""


@pytest.mark.parametrize(
    ("text", "output"),
    [
        (imports("unheard", "(param i32) (result i32)", "(call $f (i32.const 1))"), "0"),
        (imports("unheard", "(result f64)", "(call $f) i32.trunc_f64_s"), "0"),
        (imports("__syscall_openat", "(result i32)", "(call $f)"), "-52"),
        (imports("emscripten_resize_heap", "(param i32) (result i32)",
                 "(call $f (i32.const -1))"), "0"),
        (imports("emscripten_resize_heap", "(param i32) (result i32)",
                 "(call $f (i32.const 65537))"), "1"),
        (imports("emscripten_memcpy_js", "(param i32 i32 i32)",
                 "(call $f (i32.const -16) (i32.const 0) (i32.const 99)) (i32.const 1)"), "1"),
        (imports("emscripten_memcpy_js", "(param i32 i32 i32)",
                 "(call $f (i32.const 0) (i32.const 65530) (i32.const -1)) (i32.const 1)"), "1"),
        (imports("_mktime_js", "(param i32) (result i32)",
                 "(i32.store offset=20 (i32.const 0) (i32.const 2147483647))"
                 "(call $f (i32.const 0))"), "-1"),
        (imports("fd_write", "(param i32 i32 i32 i32) (result i32)",
                 "(i32.store offset=4 (i32.const 0) (i32.const -1))"
                 "(i32.store offset=12 (i32.const 0) (i32.const -1))"
                 "(call $f (i32.const 9) (i32.const 0) (i32.const 2) (i32.const 64))"), "0"),
    ],
)  # fmt: skip
def test_what_the_host_answers(text: str, output: str) -> None:
    assert Device(text).call("go").good == output


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (imports("abort", "", "(call $f) (i32.const 0)"), "abort()"),
        (imports("exit", "(result i32)", "(call $f)").replace('"env"', '"my_lib"'),
         "it calls my_lib.exit, which this node has not"),
        (imports("exit", "(param i32)", "(call $f (i32.const 3)) (i32.const 0)"), "exit(3)"),
        (imports("emscripten_memcpy_js", "", "(call $f) (i32.const 0)"), "the host cannot"),
        (imports("fd_write", "(param i32 i32 i32 i32) (result i32)",
                 "(call $f (i32.const 1) (i32.const -4) (i32.const 1) (i32.const 0))"),
         "a pointer is wild"),
        (imports("_gmtime_js", "(param i64 i32)",
                 "(call $f (i64.const 0) (i32.const -4)) (i32.const 0)"), "a pointer is wild"),
    ],
)  # fmt: skip
def test_what_the_host_refuses(text: str, error: str) -> None:
    assert error in Device(text).call("go").error


def test_a_start_function_may_call_the_host_before_there_is_a_memory() -> None:
    text = imports("fd_write", "(param i32 i32 i32 i32) (result i32)", "(i32.const 1)")
    text = (
        text.removesuffix(")")
        + """(func $s (drop
      (call $f (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 0)))) (start $s))"""
    )
    assert "no memory yet" in Device(text).call("go").error


# Compiling -----------------------------------------------------------------

LONGJMP = '(module (import "env" "invoke_v" (func (param i32))) {} (func (export "f")))'


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (wat(COUNTER)[:-7], ""),
        (wat(COUNTER)[:40], ""),
        (b"\0asm\1\0\0\0", "This one exports nothing"),
        (wat('(module (memory (export "memory") 1))'), "This one exports memory (memory)"),
        (wat('(module (memory i64 0x10000000000) (func (export "f")))'), "pages"),
        (wat('(module (table 4000000000 funcref) (func (export "f")))'), "tables"),
        (wat('(module (memory 1) (memory 1) (func (export "f")))'), "2 memories"),
        (wat(LONGJMP.format("")), "need the exports"),
        (wat(LONGJMP.format('(func (export "memory")) (func (export "setThrew"))')), "need the"),
    ],
)
def test_modules_that_are_refused(data: bytes, error: str) -> None:
    with pytest.raises(ModuleError) as refused:
        compile_module(data, engine(fuel=False))
    assert error in refused.value.what


def test_an_import_name_is_no_text_of_the_adapter() -> None:
    name = r'invoke_") (memory 1) (func (export \22x'
    text = f'(module (import "env" "{name}" (func (param i32))) (func (export "f")))'.replace(
        'invoke_")', r"invoke_\22)"
    )
    module = wasmtime.Module(engine(fuel=False), wat(text))
    from aoshell.sandbox.wasm import emscripten

    assert not emscripten.needs_adapter(module)


def test_owner_and_process_are_in_the_environment() -> None:
    (environment,) = json.loads(Device(echo(1)).send().good)
    assert environment["Process"]["Id"] == PROCESS
    assert environment["Process"]["Owner"] == OWNER
