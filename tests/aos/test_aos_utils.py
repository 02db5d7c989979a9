"""Utils: functions on tables and names, curried."""

import pytest


@pytest.mark.parametrize(
    ("expression", "result"),
    [
        ("Utils.concat({ 1, 2 })({ 3 })", [1, 2, 3]),
        ("Utils.concat({}, {})", []),
        ("Utils.reduce(function(a, x) return a + x end)(0)({ 1, 2, 3 })", 6),
        ("Utils.reduce(function(a, x, i) return a * x + i end, nil, { 5, 2 })", 12),
        ("Utils.map(function(x, i) return x * i end)({ 4, 5 })", [4, 10]),
        ("Utils.filter(function(x) return x > 1 end, { 1, 2, 3 })", [2, 3]),
        ("Utils.find(function(x) return x > 1 end)({ 1, 2, 3 })", 2),
        ('Utils.propEq("a")("x")({ a = "x" })', True),
        ('Utils.propEq("a", "y", { a = "x" })', False),
        ("Utils.reverse({ 1, 2, 3 })", [3, 2, 1]),
        ("Utils.compose(function(x) return x + 1 end)(function(x) return x * 2 end)(3)", 7),
        ('Utils.prop("a")({ a = 1 })', 1),
        ("Utils.includes(2)({ 1, 2 })", True),
        ("Utils.includes(3, { 1, 2 })", False),
        ("Utils.keys({ a = 1 })", ["a"]),
        ("Utils.values({ a = 1 })", [1]),
        ("Utils.curry(function(a, b, c) return a .. b .. c end, 3)(1)(2, 3)", "123"),
        (
            "Utils.curry(function(a, b) return tostring(a) .. tostring(b) end, 2)(nil)(nil)",
            "nilnil",
        ),
        ("Utils.curry(function(a, b) return a + b end)(1, 2)", 3),
        ("Utils.curry(function(a, b) return a + b end)(1)(2)", 3),
        ("Utils.curry(function(...) return select('#', ...) end)(1, 2)", 2),
        ('Utils.normalize("x_reference-ID")', "X-Reference-Id"),
        ("Utils.normalize(5)", 5),
        ('Utils.capitalize("foo-bar")', "Foo-bar"),
        ('Utils.capitalize("")', ""),
        ('Utils.matchesSpec({ Action = "A" }, "A")', True),
        ("Utils.matchesSpec({}, 5)", False),
        ('Utils.matchesPattern(nil, "x", {})', False),
        ('Utils.matchesPattern("_", nil, {})', True),
        ('Utils.matchesPattern({ "a", "B" }, "b", {})', True),
    ],
)
def test_utils(process, expression, result):
    assert process.value(expression) == result or (result == [] and not process.value(expression))


@pytest.mark.parametrize(
    ("call", "error"),
    [
        ("Utils.concat({ a = 1 }, {})", "first argument should be a table"),
        ("Utils.concat({}, 1)", "second argument should be a table that is an array"),
        ("Utils.reduce(1, 2, {})", "first argument should be a function that accepts"),
        ("Utils.map(print, { a = 1 })", "second argument should be an Array"),
        ("Utils.filter(1, {})", "first argument should be a unary function"),
        ("Utils.find(1, {})", "first argument should be a unary function"),
        ("Utils.propEq(1, 'x', {})", "first argument should be a string"),
        ("Utils.includes(1, 2)", "argument needs to be a table"),
        ("Utils.keys(1)", "argument needs to be a table"),
        ("Utils.curry(1)", "function is required as first argument"),
        (
            "Handlers.utils.hasMatchingTag(1, 2)",
            "invalid arguments: (name : string, value : string)",
        ),
        ("Handlers.utils.reply(1)", "invalid arguments: (input : table or string)"),
    ],
)
def test_arguments_are_checked(process, call, error):
    assert '[string "aos"]:1: ' + error in process.eval("local _ = " + call)["Error"]
