"""Tokens of Lua 5.3 (reference manual, 3.1), as strictly as Lua itself takes them.

Text is handled as latin-1, one character per byte, so that strings hold the bytes that Lua would
see. Messages are worded as Lua's own are: people look them up.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

KEYWORDS = frozenset(
    ("and", "break", "do", "else", "elseif", "end", "false", "for", "function", "goto", "if", "in",
     "local", "nil", "not", "or", "repeat", "return", "then", "true", "until", "while")
)  # fmt: skip
_SPACE = re.compile(r"[ \t\v\f]+")
_BREAK = re.compile(r"\r\n|\n\r|\n|\r")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_LONG = re.compile(r"\[(=*)\[")
_OPEN = re.compile(r"\[(=+)(?!\[)")
_COMMENT = re.compile(r"[^\r\n]*")
_SYMBOL = re.compile(r"\.\.\.|\.\.|==|~=|<=|>=|<<|>>|//|::|.", re.DOTALL)
_NUMERAL = re.compile(r"\.?0[xX](?:[pP][+-]?|[0-9A-Fa-f.])*|\.?[0-9](?:[eE][+-]?|[0-9A-Fa-f.])*")
_DECIMAL = re.compile(r"(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?\Z")
_HEXADECIMAL = re.compile(
    r"0[xX](?:(?P<whole>[0-9A-Fa-f]+)\.?(?P<part>[0-9A-Fa-f]*)|\.(?P<only>[0-9A-Fa-f]+))"
    r"(?:[pP](?P<power>[+-]?[0-9]+))?\Z"
)
_PLAIN = re.compile(r"""[^\\"'\r\n]+""")
_DIGITS = re.compile(r"[0-9]{1,3}")
_HEX = "0123456789abcdefABCDEF"
_ESCAPES = dict(zip("abfnrtv\\\"'", "\a\b\f\n\r\t\v\\\"'", strict=True))


class LuaSyntaxError(Exception):
    """Text that Lua 5.3 would not compile.

    Attributes:
        message: Lua's words for it, without chunk name and line.
        at: offset in the text of the token that it is about.
        line: the line that Lua names, from 1.
    """

    def __init__(self, message: str, at: int, line: int) -> None:
        super().__init__(message)
        self.message = message
        self.at = at
        self.line = line


@dataclass(frozen=True, slots=True)
class Token:
    """One token.

    Attributes:
        kind: a keyword or symbol itself, else "<name>", "<string>", "<number>" or "<eof>".
        value: the name, the string's bytes (latin-1), the number; "" of others.
        at: offset where it begins.
        line: the line on which it ends.
        near: how Lua quotes it in messages; it does not quote a zero byte.
    """

    kind: str
    value: str | int | float
    at: int
    line: int
    near: str


class Lexer:
    """Tokens one by one, and what not every Lua takes.

    Attributes:
        long_brackets: (offset, level, whether it is a comment) of each long bracket.
        escapes: (offset, character behind the backslash) of each escape in a string.
    """

    def __init__(self, source: str) -> None:
        self.source = source
        self.long_brackets: list[tuple[int, int, bool]] = []
        self.escapes: list[tuple[int, str]] = []
        self._at = 0
        self._line = 1

    def next(self) -> Token:
        """The next token; "<eof>" for ever behind the last.

        Raises:
            LuaSyntaxError: no token begins there.
        """
        self._skip()
        source, at = self.source, self._at
        if at >= len(source):
            return Token("<eof>", "", at, self._line, "<eof>")
        char = source[at]
        if name := _NAME.match(source, at):
            word = name.group()
            kind = word if word in KEYWORDS else "<name>"
            return self._token(kind, word if kind == "<name>" else "", word)
        if _NUMERAL.match(source, at):
            return self._number()
        if char in "\"'":
            return self._string(char)
        if long := _LONG.match(source, at):
            value = self._long(long, "string")
            level = long.group(1)
            near = _quoted([f"[{level}[", value, f"]{level}]"])
            return Token("<string>", value, at, self._line, near)
        if broken := _OPEN.match(source, at):
            raise self._error("invalid long string delimiter", f"'{broken.group()}'", at)
        symbol = _SYMBOL.match(source, at)
        assert symbol
        return self._token(symbol.group(), "", symbol.group())

    def _token(self, kind: str, value: str | float, raw: str) -> Token:
        at = self._at
        self._at += len(raw)
        if raw == "\0":
            return Token(kind, value, at, self._line, "")
        near = raw if len(raw) > 1 or " " <= raw <= "~" else f"<\\{ord(raw)}>"
        return Token(kind, value, at, self._line, f"'{near}'")

    def _error(self, message: str, near: str, at: int) -> LuaSyntaxError:
        return LuaSyntaxError(f"{message} near {near}", at, self._line)

    def _skip(self) -> None:
        """Over spaces, line breaks and comments."""
        source = self.source
        while True:
            if space := _SPACE.match(source, self._at):
                self._at = space.end()
            elif newline := _BREAK.match(source, self._at):
                self._at = newline.end()
                self._line += 1
            elif source.startswith("--", self._at):
                self._at += 2
                if long := _LONG.match(source, self._at):
                    self._long(long, "comment")
                elif line := _COMMENT.match(source, self._at):
                    self._at = line.end()
            else:
                return

    def _long(self, opening: re.Match[str], what: str) -> str:
        """A long string or comment; line breaks become \\n, a first one is dropped."""
        start, first_line = opening.start(), self._line
        self.long_brackets.append((start, len(opening.group(1)), what == "comment"))
        closing = f"]{opening.group(1)}]"
        end = self.source.find(closing, opening.end())
        body = self.source[opening.end() : end if end >= 0 else None]
        value, breaks = _BREAK.subn("\n", body)
        self._line += breaks
        if end < 0:
            self._at = len(self.source)
            place = f"unfinished long {what} (starting at line {first_line})"
            raise self._error(place, "<eof>", start)
        self._at = end + len(closing)
        return value.removeprefix("\n")

    def _number(self) -> Token:
        numeral = _NUMERAL.match(self.source, self._at)
        assert numeral
        raw = numeral.group()
        value = number(raw)
        if value is None:
            raise self._error("malformed number", f"'{raw}'", self._at)
        return self._token("<number>", value, raw)

    def _string(self, quote: str) -> Token:
        source, start = self.source, self._at
        parts = [quote]
        self._at += 1
        while True:
            if plain := _PLAIN.match(source, self._at):
                parts.append(plain.group())
                self._at = plain.end()
            char = source[self._at : self._at + 1]
            if not char:
                raise self._error("unfinished string", "<eof>", start)
            if char in "\r\n":
                raise self._error("unfinished string", _quoted(parts), start)
            if char == "\\":
                parts.append(self._escape(parts))
                continue
            self._at += 1
            parts.append(char)
            if char == quote:
                value = "".join(parts)[1:-1]
                return Token("<string>", value, start, self._line, _quoted(parts))

    def _escape(self, parts: list[str]) -> str:
        """What a backslash and the characters behind it stand for."""
        source, start = self.source, self._at
        char = source[start + 1 : start + 2]
        self.escapes.append((start, char))
        self._at += 2
        if char in _ESCAPES and char:
            return _ESCAPES[char]
        if newline := _BREAK.match(source, start + 1):
            self._at = newline.end()
            self._line += 1
            return "\n"
        if char == "x":
            for _ in range(2):
                self._require(self._peek() in _HEX, "hexadecimal digit expected", start, parts)
                self._at += 1
            return chr(int(source[start + 2 : self._at], 16))
        if char == "u":
            return self._unicode(start, parts)
        if char == "z":
            self._white_space()
            return ""
        if digits := _DIGITS.match(source, start + 1):
            self._at = digits.end()
            self._require(int(digits.group()) <= 255, "decimal escape too large", start, parts)
            return chr(int(digits.group()))
        if not char:
            self._at = len(source)
            return ""
        self._at -= 1
        raise self._bad("invalid escape sequence", start, parts)

    def _unicode(self, start: int, parts: list[str]) -> str:
        self._require(self._peek() == "{", "missing '{'", start, parts)
        self._at += 1
        self._require(self._peek() in _HEX, "hexadecimal digit expected", start, parts)
        value = 0
        while self._peek() in _HEX:
            value = value * 16 + int(self._peek(), 16)
            self._require(value <= 0x10FFFF, "UTF-8 value too large", start, parts)
            self._at += 1
        self._require(self._peek() == "}", "missing '}'", start, parts)
        self._at += 1
        return chr(value).encode("utf-8", "surrogatepass").decode("latin-1")

    def _white_space(self) -> None:
        """Over what `\\z` skips: spaces and line breaks, no comments."""
        while space := _SPACE.match(self.source, self._at) or _BREAK.match(self.source, self._at):
            self._line += space.group()[0] in "\r\n"
            self._at = space.end()

    def _peek(self) -> str:
        """The next character; at the end one that is none of any set."""
        return self.source[self._at : self._at + 1] or "\0eof"

    def _require(self, condition: bool, message: str, start: int, parts: list[str]) -> None:
        if not condition:
            raise self._bad(message, start, parts)

    def _bad(self, message: str, start: int, parts: list[str]) -> LuaSyntaxError:
        """Lua quotes the string so far, the escape as it stands and the character it fails on."""
        written = self.source[start : self._at + 1]
        return self._error(message, _quoted([*parts, written]), start)


def number(text: str) -> int | float | None:
    """The value of a numeral, None where it is none: integers wrap round only in hexadecimal."""
    if _DECIMAL.match(text):
        if text.isdigit() and int(text) < 2**63:
            return int(text)
        return float(text)
    found = _HEXADECIMAL.match(text)
    if not found:
        return None
    whole, part = found["whole"] or "", found["part"] or found["only"] or ""
    if "." not in text and found["power"] is None:
        value = int(whole, 16) & 0xFFFFFFFFFFFFFFFF
        return value - 2**64 if value >= 2**63 else value
    return _scaled(int(whole + part, 16), int(found["power"] or 0) - 4 * len(part))


def _scaled(mantissa: int, power: int) -> float:
    """mantissa · 2^power, infinite or zero where a float cannot say it."""
    if mantissa == 0:
        return 0.0
    size = mantissa.bit_length()
    if size + power > 1025:
        return float("inf")
    if size + power < -1100:
        return 0.0
    return mantissa * 2.0**power if -1000 < power < 900 and size < 900 else _exact(mantissa, power)


def _exact(mantissa: int, power: int) -> float:
    from fractions import Fraction

    try:
        return float(Fraction(mantissa) * Fraction(2) ** power)
    except OverflowError:
        return float("inf")


def _quoted(parts: list[str]) -> str:
    """As C would print it: up to the first zero."""
    return f"'{''.join(parts).split(chr(0))[0]}'"
