"""json, base64, stringify, pretty, dump, chance."""

import base64
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st


@pytest.fixture(scope="module")
def lua(new):
    return new().lua


def call(lua, source, *args):
    """Result of a Lua function of the given source, or its error as text."""
    return lua.execute(
        f"local ok, a = pcall({source}, ...) return ok and a or (ok and a) or tostring(a)", *args
    )


def decode(lua, text):
    """JSON → Lua → JSON."""
    return call(lua, "function(t) return json.encode(json.decode(t)) end", text)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("nil", "null"),
        ("true", "true"),
        ("{}", "[]"),
        ("{ 1, 'a', { x = false } }", '[1,"a",{"x":false}]'),
        ("{ f = print }", "{}"),
        ("{ f = print, a = 1 }", '{"a":1}'),
        ("{ print and 1, 2 }", "[1,2]"),
        ("setmetatable({}, { __pairs = function() return next, { b = 2 } end })", '{"b":2}'),
        ("setmetatable({ a = 1 }, { __index = { b = 2 } })", '{"a":1}'),
        ("9007199254740993", "9007199254740993"),
        ("math.mininteger", "-9223372036854775808"),
        ("3.0", "3"),
        ("0.1", "0.1"),
        ("1e300", "1e+300"),
        (r"'\"\\/\b\f\n\r\t\0\1\127'", r'"\"\\/\b\f\n\r\t\u0000\u0001' + '\x7f"'),
    ],
)
def test_json_encode(lua, value, text):
    assert lua.eval(f"json.encode({value})") == text


@pytest.mark.parametrize(
    ("value", "error"),
    [
        ("0/0", "unexpected number value"),
        ("1/0", "unexpected number value 'inf'"),
        ("print", "unexpected type 'function'"),
        ("{ 1, x = 1 }", "invalid table: mixed or invalid key types"),
        ("{ [true] = 1 }", "invalid table: mixed or invalid key types"),
        ("{ [2] = 1 }", "invalid table: mixed or invalid key types"),
        ("{ 1, 2, nil, 4 }", "invalid table: sparse array"),
        ("{ 1, [1.5] = 2 }", "invalid table: sparse array"),
        ("(function() local t = {} t.t = t return t end)()", "circular reference"),
        (
            "(function() local t = {} for i = 1, 2000 do t = { t } end return t end)()",
            "nested deeper",
        ),
    ],
)
def test_json_encode_errors(lua, value, error):
    assert error in call(lua, f"function() return json.encode({value}) end")


@pytest.mark.parametrize(
    ("text", "result"),
    [
        (' { "a" : [ 1 , 2.5e1, -0.5 ] } ', '{"a":[1,25,-0.5]}'),
        ("[]", "[]"),
        ("{}", "[]"),
        ('"\\u00e9\\ud83d\\ude00"', '"é😀"'.encode().decode("latin-1")),
        ('"\\ud83d"', '"\ufffd"'.encode().decode("latin-1")),
        ('"\\ude00\\ud83dx"', '"\ufffd\ufffdx"'.encode().decode("latin-1")),
        ("123456789012345678901234567890", "1.2345678901235e+29"),
        ("9223372036854775807", "9223372036854775807"),
        ('{"a":1,"a":2}', '{"a":2}'),
        ("null", "null"),
        ("[" * 900 + "]" * 900, "[" * 900 + "]" * 900),
    ],
)
def test_json_decode(lua, text, result):
    assert decode(lua, text) == result


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", "unexpected character '' at line 1 col 1"),
        (" \n", "unexpected character '' at line 2 col 1"),
        ("[", "unexpected character '' at line 1 col 2"),
        ("[1,", "unexpected character '' at line 1 col 4"),
        ('{"a":', "unexpected character '' at line 1 col 6"),
        # aos counts what it has read, the character that it did not expect included.
        ("[1,\n 2", "expected ']' or ',' at line 2 col 4"),
        ("[1", "expected ']' or ',' at line 1 col 4"),
        ('{"a":1', "expected '}' or ',' at line 1 col 8"),
        ("[1,]", "unexpected character ']' at line 1 col 4"),
        ('{"a" 1}', "expected ':' after key at line 1 col 6"),
        ('{"a":1 "b"}', "expected '}' or ','"),
        ("{1:2}", "expected string for key"),
        ("[1] x", "trailing garbage at line 1 col 5"),
        ("tru", "invalid literal 'tru'"),
        ("01", "invalid number '01'"),
        ("1.", "invalid number '1.'"),
        ("0x10", "invalid number '0x10'"),
        ("-", "invalid number '-'"),
        ("1e999", "number out of range"),
        ('"a', "expected closing quote for string"),
        ('"a\nb"', "control character in string"),
        ('"\\x"', "invalid escape char 'x' in string"),
        ('"\\u12"', "invalid unicode escape in string"),
        ("[" * 100000, "nested deeper than 1000 levels"),
        ('{"a":' * 5000, "nested deeper than 1000 levels"),
        ("&", "unexpected character '&'"),
    ],
)
def test_json_decode_errors(lua, text, error):
    assert error in decode(lua, text)


def test_json_takes_text_only(lua):
    assert "expected argument of type string, got table" in call(lua, "json.decode", lua.table())


VALUES = st.recursive(
    st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.text(alphabet=st.characters(max_codepoint=255)),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.text(alphabet='abc"\\\n\xe9', max_size=3), inner, min_size=1, max_size=4
        )
    ),
    max_leaves=15,
)


@settings(max_examples=100, deadline=None)
@given(VALUES)
def test_json_round_trip(lua, value):
    text = json.dumps(value, ensure_ascii=False)
    assert json.loads(decode(lua, text)) == value


@settings(max_examples=50, deadline=None)
@given(st.text(alphabet='[]{}",:0e-.\\u dtrueflasn', max_size=30))
def test_json_decode_accepts_what_json_is(lua, text):
    ok = lua.execute("return (pcall(json.decode, ...))", text)
    try:
        json.loads(text)
    except ValueError:
        assert not ok
    else:
        assert ok or "e" in text


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=64))
def test_base64_round_trip(lua, data):
    text = data.decode("latin-1")
    encoded = base64.b64encode(data).decode()
    assert lua.eval("base64.encode")(text) == encoded
    for form in (encoded, encoded.rstrip("="), " " + encoded[:5] + "\n" + encoded[5:]):
        assert lua.eval("base64.decode")(form) == text


def test_base64_with_another_alphabet(lua):
    source = """function(text)
      local encoder, decoder = base64.makeencoder("-", "_"), base64.makedecoder("-", "_")
      local encoded = base64.encode(text, encoder)
      return encoded .. tostring(base64.decode(encoded, decoder) == text)
    end"""
    assert call(lua, source, "\xfb\xff\xfe\xff") == "-__-_w==true"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("{}", "{  }"),
        ("{ 1, 'a' }", '{ <b>1</>, <g>"a"</> }'),
        ("{ a = 1 }", "{\n   <r>a</> = <b>1</>\n}"),
        ("{ true, { 2 } }", "{\n  <b>true</>,\n  { <b>2</> }\n }"),
        ("{ a = { b = 'c' } }", '{\n   <r>a</> = {\n     <r>b</> = <g>"c"</>\n  }\n}'),
        (
            "{ 1, 2, x = 3 }",
            "{\n   <r>1</> = <b>1</>,\n   <r>2</> = <b>2</>,\n   <r>x</> = <b>3</>\n}",
        ),
        ("{ [true] = 1 }", "{\n   <r>true</> = <b>1</>\n}"),
        (
            "(function() local t = {} t.t = t return t end)()",
            "{\n   <r>t</> = <circular reference>\n}",
        ),
        ("(function() local t = {} t[1] = t return t end)()", "{\n  <circular reference>\n }"),
        (
            "(function() local t = { 1 } return { t, t } end)()",
            "{\n  { <b>1</> },\n  { <b>1</> }\n }",
        ),
    ],
)
def test_stringify(lua, value, text):
    for mark, code in (("<r>", 31), ("<g>", 32), ("<b>", 34), ("</>", 0)):
        text = text.replace(mark, f"\x1b[{code}m")
    assert lua.eval(f'require(".stringify").format({value})') == text


def test_pretty(lua):
    assert lua.eval('require(".pretty").tprint({ { "a", true } })') == "1: \n 1: a\n 2: true\n"


@pytest.mark.parametrize(
    ("call_", "text"),
    [
        ("Dump({})", "{}"),
        ("Dump('a\"b')", '"a\\"b"'),
        ("Dump(1)", '"1"'),
        ("Dump({ 1, b = 'x', a = { true } })",
         "{\n    [1] = 1,\n    a = {\n        [1] = true\n    },\n    b = \"x\"\n}"),
        ("Dump({ ['end'] = 1, ['a b'] = 2, c = 3 })",
         '{\n    ["a b"] = 2,\n    ["end"] = 1,\n    c = 3\n}'),
        ("Dump({ a = { 1 } }, 0, 2)", "{   a = {   [1] = 1   }   }"),
        ("Dump({ a = 1, b = 2 }, nil, nil, function(v) return v ~= 'a' and v or nil end)",
         "{\n    b = 2\n}"),
        ("Dump({ a = 'raw' }, nil, nil, function(v, d, t, use) return v, use == 'val' end)",
         "{\n    a = raw\n}"),
    ],
)  # fmt: skip
def test_dump(lua, call_, text):
    assert lua.eval(call_) == text


def test_dump_of_a_circle(lua):
    assert '"<Circular table: 0x' in lua.eval(
        "(function() local t = {} t.t = t return Dump(t) end)()"
    )


def test_mersenne_twister(lua):
    """Known answers: the reference implementation's default seed, and its 10,000th number (C++)."""
    outputs = lua.execute("""
        local chance = require(".chance")
        local list = {}
        chance.seed(5489)
        for i = 1, 10000 do list[i] = math.floor(chance.random() * 4294967296) end
        return list
    """)
    assert [outputs[i] for i in (1, 2, 3)] == [3499211612, 581869302, 3890346734]
    assert outputs[10000] == 4123659995
    assert "max must bigger than min" in call(lua, 'require(".chance").integer', 2, 1)
