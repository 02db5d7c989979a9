"""Modules that are loaded on demand: they survive checkpoints, and the host's digests are safe."""

from __future__ import annotations

import hashlib

import pytest
from sandbox_guest import Guest as Bare
from sandbox_worker import Driven

from aoshell.sandbox import environment
from aoshell.sandbox.lua import LuaRuntime
from aoshell.sandbox.runtime import OutOfMemoryError

ID, OWNER = "p" * 43, "o" * 43


class Guest:
    """A process in this operating system process, by way of images."""

    def __init__(self, image: bytes | None = None, code: str | None = None) -> None:
        self.runtime = LuaRuntime(environment.read_sources(), lambda _text: None)
        self.runtime.limit_memory(64 << 20)
        tags = ["Type", "Process", *(["Execution-Device", "lua@5.3a"] if code else [])]
        self._code = code
        self.runtime.boot([ID, OWNER, "m" * 43, code, None, None, *tags])
        if image is None:
            self.deliver("", *tags)
        else:
            self.runtime.restore(image)

    def deliver(self, data: str, *tags: str, dry: bool = False) -> str:
        head = [ID, OWNER, OWNER, ID, data, "", 1, 1, 1, "h" * 43, False, dry]
        error, output, *_ = self.runtime.deliver([*head, *tags])
        assert not error, error
        return str(output)

    def run(self, code: str) -> str:
        return self.deliver(code, "Action", "Eval")

    def reopened(self) -> Guest:
        return Guest(self.runtime.image(), self._code)


def test_modules_are_compiled_when_they_are_asked_for() -> None:
    loaded = Guest().run(
        "local n = 0 for name in pairs(package.loaded) do "
        "if name:find('^%.crypto') or name:find('^%.bint') then n = n + 1 end end return n"
    )
    assert loaded == "1"  # bit32, which is global


ANSWERS = {
    "digests": "crypto.digest.sha2_256(text('x')).asHex() .. crypto.digest.keccak256('x').asHex() "
    ".. crypto.digest.md2(text('x')).asHex() .. crypto.digest.md4(text('x')).asHex()",
    "aes": "crypto.cipher.aes.encrypt('x', ('k'):rep(16), ('v'):rep(16), 'CTR').asHex()",
    "norx": "crypto.cipher.norx.encrypt(('k'):rep(32), ('n'):rep(32), 'x').asHex()",
    "morus": "crypto.cipher.morus.encrypt(('k'):rep(32), ('n'):rep(16), 'x').asHex()",
    "hmac": "crypto.mac.createHmac(text('x'), { 1, 2 }).asHex()",
    "pbkdf2": "crypto.kdf.pbkdf2({ 1 }, { 2 }, 3, 40).asHex()",
    "bint": "tostring(big(7) ^ 2) .. tostring(big('123456789012345678901234567890') // 7 % 11)",
    "what was begun": "begun.update(text('c')).finish().asHex()",
    "a random number": "crypto.cipher.issac.getRandom() .. ' ' .. math.random(1000)",
    "one module by all names": "tostring(require('.crypto') == crypto) .. "
    "tostring(require('.bint')() == big)",
    "a bint": "tostring(amount + 1)",
}


def test_a_process_with_modules_is_restored() -> None:
    guest = Guest()
    guest.run("""
        crypto, big = require(".crypto"), require(".bint")()
        text = crypto.utils.stream.fromString
        begun = require(".crypto.digest.sha1").SHA1().update(text("ab"))
        amount = big("99999999999999999999999")
        crypto.cipher.issac.seedIsaac("seed", true)
        crypto.cipher.aes.encrypt("warm", ("k"):rep(16))
        apm.install("pkg")
    """)
    again = guest.reopened().reopened()
    for what, source in ANSWERS.items():
        expected = guest.run(f"return {source}")
        assert again.run(f"return {source}") == expected, what
    assert guest.run("return begun.asHex()") == hashlib.sha1(b"abc").hexdigest()


def test_modules_can_be_loaded_behind_a_checkpoint() -> None:
    again = Guest().reopened()
    assert again.run("return require('.crypto').digest.keccak256('').asHex()").startswith("c5d246")
    assert again.run("return tostring(require('.bint')(128)(5) * 6)") == "30"


HYPER = """
local function add(base, n) base.total = (base.total or 0) + n end
function compute(base, req)
  add(base, #req.body.data)
  base.results = {
    output = { data = tostring(base.total) },
    outbox = { { device = "patch@1.0", cache = { total = base.total } } },
  }
  return base
end
"""


def test_a_process_of_functions_is_restored() -> None:
    guest = Guest(code=HYPER)
    assert guest.deliver("four") == "4"
    again = guest.reopened().reopened()
    assert again.deliver("", "Exposed-Path", "cache/total", dry=True) == "4"
    assert again.deliver("two") == guest.deliver("two") == "7"


def test_what_a_process_exposes_is_restored() -> None:
    guest = Guest()
    guest.run("Send({ device = 'patch@1.0', cache = { a = { b = 1 } } })")
    again = guest.reopened()
    assert again.deliver("", "Exposed-Path", "cache/a/b", dry=True) == "1"
    assert again.deliver("", "Exposed-Path", "cache", dry=True) == '{"a":{"b":1}}'


# The host's digests ------------------------------------------------------------------------------


def test_a_large_text_is_digested_in_pieces() -> None:
    guest = Bare()
    answer = guest.eval(
        "local c = require('.crypto') "
        "return c.digest.sha2_256(c.utils.stream.fromString(('ab'):rep(5 << 20))).asHex()"
    )
    assert answer.output == hashlib.sha256(b"ab" * (5 << 20)).hexdigest()


@pytest.mark.parametrize(
    ("call", "error"),
    [
        ("digest()", "the text must be string, got nil"),
        ("digest('md5', {})", "the text must be string, got table"),
        ("digest('md5', 5)", "the text must be string, got integer"),
        ("digest('shake_256', 'x')", "no such digest"),
        ("digest({}, 'x')", "no such digest"),
        ("digest('blake2b', 'x', 65, '')", "illegal parameters"),
        ("digest('blake2b', 'x', 1, ('k'):rep(65))", "illegal parameters"),
        ("digest('blake2b', 'x', '1', '')", "the size must be integer"),
        ("digest('blake2b', 'x', 1.5, '')", "the size must be integer, got float"),
        ("pbkdf2('sha1', 'p', 's', 0, 1)", "the number of iterations is out of range"),
        ("pbkdf2('sha1', 'p', 's', 1 << 40, 1)", "the number of iterations is out of range"),
        ("pbkdf2('sha1', 'p', 's', 1, 1 << 30)", "the length of the key is out of range"),
        ("pbkdf2('sha1', 'p', 's', 1, -1)", "the length of the key is out of range"),
        ("pbkdf2('sha1', ('p'):rep(1 << 21), 's', 1, 1)", "the password or the salt is too long"),
        ("pbkdf2('md5', 'p', 's', 1, 1)", "no such digest"),
        ("pbkdf2('sha1', setmetatable({}, { __tostring = print }), 's', 1, 1)", "the password"),
    ],
)
def test_what_crosses_is_checked(call: str, error: str) -> None:
    assert error in Bare().eval(f"return require('.host').{call}").error


def test_what_a_digest_raises_is_no_python_object() -> None:
    guest = Bare()
    host = guest.runtime._host

    def exhausted(*_args: object) -> str:
        raise MemoryError

    host.digests["begin"] = exhausted
    with pytest.raises(OutOfMemoryError):
        guest.deliver("pcall(require('.host').digest, 'md5', 'x') return 'went on'")


def test_derivation_counts_against_the_time_limit(worker: Driven) -> None:
    code = "require('.crypto').kdf.pbkdf2({ 1 }, { 2 }, 0x7FFFFFFF, 20)"
    name, why, _frame = worker.eval(code, seconds=0.5)
    assert (name, why) == ("promoted", "time")
    assert worker.is_well()


def test_digests_work_in_a_confined_worker(worker: Driven) -> None:
    code = """
        local c = require(".crypto")
        local x = c.utils.stream.fromString
        return c.digest.md5(x("x")).asHex() .. c.digest.sha1(x("x")).asHex()
          .. c.digest.sha2_256(x("x")).asHex() .. c.digest.sha2_512("x").asHex()
          .. c.digest.sha3_256("x").asHex() .. c.digest.blake2b("x").asHex()
          .. c.kdf.pbkdf2({ 120 }, { 120 }, 2, 16, "sha256").asHex()
    """
    _name, outcome, frame = worker.eval(code)
    digests = [hashlib.new(name, b"x").hexdigest()
               for name in ("md5", "sha1", "sha256", "sha512", "sha3_256", "blake2b")]  # fmt: skip
    derived = hashlib.pbkdf2_hmac("sha256", b"x", b"x", 2, 16).hex().upper()
    assert (outcome, frame[8]) == ("ok", "".join(digests) + derived)


def test_what_the_host_remembers_of_a_table_is_its_own() -> None:
    """The host caches the key order of a large table; a script gets a copy."""
    guest = Guest()
    code = """
        local keys = require(".host").keys
        t = {}
        for i = 1, 40 do t["k" .. 10 + i] = i end
        for _ in pairs(t) do end
        local mine = keys(t)
        mine[1], mine[2] = "forged", nil
        local n = 0
        for _ in pairs(t) do n = n + 1 end
        return n .. next(t) .. #keys(t) .. tostring(keys({ 1, 2 })) .. tostring(keys(5))
    """
    assert guest.run(code) == "40k1140falsenil"
