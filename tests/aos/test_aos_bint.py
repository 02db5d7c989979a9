"""`.bint` against Python's integers, which have no limit."""

import operator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

CLASSES = {"default": (256, 32), "small": (64, 8), "halves": (128, 16), "large": (512, 32)}


@pytest.fixture(scope="module")
def lua(new):
    process = new()
    process.lua.execute('bint = require(".bint")')
    return process.lua.eval("""function(source, bits, word_bits, a, b, c)
      local B = bint(bits, word_bits)
      loaded = loaded or {}
      local f = loaded[source]
      if not f then
        f = assert(load("local B, x, y, a, b, c = ... return " .. source, "test", "t"))
        loaded[source] = f
      end
      local results = table.pack(f(B, B.tobint(a), B.tobint(b), a, b, c))
      for i = 1, results.n do
        if B.isbint(results[i]) then results[i] = tostring(results[i]) end
      end
      return table.unpack(results, 1, results.n)
    end""")


def wrapped(value, bits):
    value &= (1 << bits) - 1
    return value - (1 << bits) if value >> (bits - 1) else value


def integers(bits):
    """Numbers of all lengths, and those at the ends of words."""
    edges = st.builds(
        lambda power, more, sign: sign * ((1 << power) + more),
        st.integers(0, bits - 2), st.integers(-2, 2), st.sampled_from([1, -1]),
    )  # fmt: skip
    any_length = st.integers(1, bits - 1).flatmap(lambda n: st.integers(-(1 << n), (1 << n) - 1))
    return edges | any_length


def truncated(a, b):
    quotient = abs(a) // abs(b)
    return quotient if (a < 0) == (b < 0) else -quotient


OPERATORS = {
    "x + y": operator.add, "x - y": operator.sub, "x * y": operator.mul,
    "x & y": operator.and_, "x | y": operator.or_, "x ~ y": operator.xor,
    "-x": lambda a, _: -a, "~x": lambda a, _: ~a, "B.abs(x)": lambda a, _: abs(a),
    "B.inc(x)": lambda a, _: a + 1, "B.dec(x)": lambda a, _: a - 1,
    "B.max(x, y)": max, "B.min(x, y)": min,
    "x // y": lambda a, b: a // b if b else None, "x % y": lambda a, b: a % b if b else None,
    "B.tdiv(x, y)": lambda a, b: truncated(a, b) if b else None,
    "B.tmod(x, y)": lambda a, b: a - b * truncated(a, b) if b else None,
}  # fmt: skip


@pytest.mark.parametrize("size", CLASSES)
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_operators(lua, size, data):
    bits, word_bits = CLASSES[size]
    a, b = data.draw(integers(bits)), data.draw(integers(bits))
    a, b = wrapped(a, bits), wrapped(b, bits)
    for source, expected in OPERATORS.items():
        result = expected(a, b)
        if result is None:
            continue
        got = lua(source, bits, word_bits, str(a), str(b))
        assert int(got) == wrapped(result, bits), (source, a, b)
    for sign in ("<", "<=", "==", ">", ">=", "~="):
        compare = {"~=": operator.ne, "==": operator.eq, "<": operator.lt, "<=": operator.le,
                   ">": operator.gt, ">=": operator.ge}[sign]  # fmt: skip
        assert lua(f"x {sign} y", bits, word_bits, str(a), str(b)) is compare(a, b)


@pytest.mark.parametrize("size", CLASSES)
@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_unsigned(lua, size, data):
    bits, word_bits = CLASSES[size]
    mask = (1 << bits) - 1
    a, b = data.draw(integers(bits)) & mask, data.draw(integers(bits)) & mask
    m = data.draw(integers(bits)) & mask or 7
    args = bits, word_bits, hex(a), hex(b), hex(m)
    assert lua("B.ult(x, y), B.ule(x, y)", *args) == (a < b, a <= b)
    if b:
        quotient, rest = lua("B.udivmod(x, y)", *args)
        assert (int(quotient) & mask, int(rest) & mask) == divmod(a, b)
    assert int(lua("B.upowmod(x, 65537, c)", *args)) & mask == pow(a, 65537, m) or m * m > mask
    power = a ** (b % 20)
    assert int(lua(f"B.ipow(x, {b % 20})", *args)) == wrapped(power, bits)


@pytest.mark.parametrize("size", CLASSES)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_shifts(lua, size, data):
    bits, word_bits = CLASSES[size]
    a = data.draw(integers(bits)) & (1 << bits) - 1
    n = data.draw(st.integers(0, bits + 3))
    args = bits, word_bits, hex(a), n
    left, right = (wrapped(a << n, bits), wrapped(a >> n, bits))
    assert int(lua("x << b", *args)) == int(lua("x >> -b", *args)) == left
    assert int(lua("x >> b", *args)) == int(lua("x << -b", *args)) == right
    turn = n % bits
    turned = wrapped(a << turn | a >> (bits - turn), bits)
    assert int(lua("B.brol(x, b)", *args)) == int(lua("B.bror(x, -b)", *args)) == turned
    assert int(lua("B.bwrap(x, b)", *args)) == wrapped(a & (1 << n) - 1, bits)


def numeral(value, base):
    digits = ""
    while value or not digits:
        value, digit = divmod(value, base)
        digits = "0123456789abcdefghijklmnopqrstuvwxyz"[digit] + digits
    return digits


@settings(max_examples=60, deadline=None)
@given(value=integers(256), base=st.integers(2, 36))
def test_numerals(lua, value, base):
    value = wrapped(value, 256)
    unsigned = value & (1 << 256) - 1
    assert lua("tostring(x)", 256, 32, str(value)) == str(value)
    digits = numeral(unsigned, base)
    if base != 10:
        assert lua("B.tobase(x, b)", 256, 32, str(value), base) == digits
    signed = ("-" if value < 0 else "") + numeral(abs(value), base)
    assert lua("B.tobase(x, b, false)", 256, 32, str(value), base) == signed
    assert int(lua("B.frombase(a, b)", 256, 32, signed.upper(), base)) == value
    assert int(lua("B.frombase(a, b)", 256, 32, digits, base)) == value


@settings(max_examples=60, deadline=None)
@given(data=st.binary(max_size=40))
def test_bytes(lua, data):
    text = data.decode("latin-1")
    little = int.from_bytes(data[:32], "little")
    assert int(lua("B.fromle(a)", 256, 32, text)) == wrapped(little, 256)
    assert int(lua("B.frombe(a)", 256, 32, text)) == wrapped(int.from_bytes(data[-32:], "big"), 256)
    whole = little.to_bytes(32, "little")
    assert lua("B.tole(B.fromle(a))", 256, 32, text).encode("latin-1") == whole
    trimmed = whole.rstrip(b"\0") or b"\0"
    assert lua("B.tole(B.fromle(a), true)", 256, 32, text).encode("latin-1") == trimmed
    assert lua("B.tobe(B.fromle(a), true)", 256, 32, text).encode("latin-1") == trimmed[::-1]


@pytest.mark.parametrize(
    ("source", "result"),
    [
        ("B(5), B.new('5'), B.new(5.0)", ("5", "5", "5")),
        ("B.tobint('12.5'), B.tobint(1.5), B.tobint({}), B.fromstring(7)", (None,) * 4),
        ("B.fromstring('0x1F'), B.fromstring('-0b11'), B.fromstring('+7')", ("31", "-3", "7")),
        ("B.fromstring('0b12'), B.fromstring('1e5'), B.frombase('1', 37)", (None,) * 3),
        ("B.zero(), B.one()", ("0", "1")),
        ("B.maxinteger() + 1 == B.mininteger()", True),
        ("tostring(B.maxinteger())", str(2**255 - 1)),
        ("B.fromuinteger(-1), B.frominteger(-1)", (str(2**64 - 1), "-1")),
        ("B.tointeger(B(-7)), B.touinteger(B(7)), B.tonumber(B(-7))", (-7, 7, -7)),
        ("B.tonumber(B('36893488147419103232'))", 2.0**65),
        ("B.type(B(1)), B.type(1), B.type(1.5), B.type('x')", ("bint", "integer", "float", None)),
        ("B.isbint(B(1)), B.isbint(1), B.isintegral(1), B.isnumeric(1.5)",
         (True, False, True, True)),
        ("B.iszero(B(0)), B.isone(B(1)), B.isminusone(B(-1)), B.isneg(B(-1)), B.ispos(B(0))",
         (True, True, True, True, False)),
        ("B.iseven(B(2)), B.isodd(B(2)), B.iseven(-3), B.isodd(-3)", (True, False, False, True)),
        ("B.trunc(-2.7), B.floor(2.7), B.ceil(2.2), B.trunc('x')", ("-2", "2", "3", None)),
        ("B(7) / B(2), B(2) ^ 10, B(7) + 0.5, 1.5 * B(2)", (3.5, 1024.0, 7.5, 3.0)),
        ("B(7) + '3', 10 - B(3), '0x10' * B(2)", ("10", "7", "32")),
        ("B(1) < 1.5, 2 < B(3), B.eq(B(2), 2), B.eq('2', 2), B(2) == 2",
         (True, True, True, True, False)),
        ("B(1) == bint(512)(1)", False),
        ("B.tdivmod(-7, 2)", ("-3", "-1")),
        ("B.idivmod(-7, B(2))", ("-4", "1")),
        ("B.idivmod(7.5, 2)", (3.0, 1.5)),
        ("B.ipow(2, 100), B.ipow(B(-3), 3), B.ipow(5, 0)", (str(2**100), "-27", "1")),
        ("B.upowmod(3, 200, 1000007)", str(pow(3, 200, 1000007))),
        ("B.parse('7'), B.parse('1.5'), B.parse('x')", ("7", 1.5, None)),
        ("B.max(1.5, 2), B.min(B(3), 2)", ("2", "2")),
        ("(function() local v = B(5) local w = B.tobint(v) w:_add(1) return v end)()", "6"),
        ("(function() local v = B(5) local w = B.new(v) w:_inc() return v end)()", "5"),
        ("B(5):_add(3):_sub(1):_unm():_abs():_shlone():_shrone():_dec():_assign('9')", "9"),
        ("B(6):_band(3), B(6):_bor(3), B(6):_bxor(3)", ("2", "7", "5")),
        ("B(1):_shlwords(2), B.fromstring('0x10000000000000000'):_shrwords(1)",
         (str(2**64), str(2**32))),
        ("bint() == bint(256), bint(256) == bint(256, 32), bint(512).bits", (True, True, 512)),
        ("#B(1), B(2^32)[2]", (8, 1)),
    ],
)  # fmt: skip
def test_values(lua, source, result):
    assert lua(source, 256, 32) == result


@pytest.mark.parametrize(
    ("call", "error"),
    [
        ("B(1) // 0", "attempt to divide by zero"),
        ("B.tdivmod(B.mininteger(), -1)", "division overflow"),
        ("B('x')", "value cannot be represented by a bint"),
        ("B(1.5)", "value cannot be represented by a bint"),
        ("B(1) << 1.5", "value has no integer representation"),
        ("B(1):_add('x')", "value has not integer representation"),
        ("B.fromle(1)", "buffer is not a string"),
        ("require('.bint')(100)", "bitsize is not multiple of word bitsize"),
        ("require('.bint')(32)", "bitsize must be >= 64"),
        ("require('.bint')(128, 64)", "word bitsize must be half of the lua integer bitsize"),
    ],
)
def test_errors(process, call, error):
    text = process.eval(f"local B = require('.bint')()\nlocal v = {call}")["Error"]
    assert f'[string "aos"]:2: {error}' in text


def test_amounts_of_tokens(process):
    """As public token scripts use it."""
    assert process.run("""
        local bint = require(".bint")(256)
        local utils = {
          add = function(a, b) return tostring(bint(a) + bint(b)) end,
          subtract = function(a, b) return tostring(bint(a) - bint(b)) end,
          toBalanceValue = function(a) return tostring(bint(a)) end,
        }
        local supply = utils.toBalanceValue(10000 * 10 ^ 12)
        return utils.subtract(utils.add(supply, "1"), 2)
          .. tostring(bint.__lt(0, bint("1"))) .. tostring(bint("10") <= bint("9"))
    """) == "9999999999999999truefalse"  # fmt: skip
