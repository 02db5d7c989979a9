"""Modules whose functions are called with typed parameters: numbers and strings."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from wasm_device import SENDER, Device

COUNTER = (Path(__file__).resolve().parents[2] / "examples/wasm/counter.wat").read_text()

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
