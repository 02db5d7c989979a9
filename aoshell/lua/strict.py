"""Tokens of Lua 5.3 with their values, as strict as Lua itself.

Text is latin-1, one character per byte, so strings hold the bytes that Lua would see. Messages are
those of Lua: people search for them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from aoshell.lua.lexer import BREAK, Token, pieces

_BROKEN = re.compile(r"\[=+")
_SPACE = re.compile(r"[ \t\v\f\r\n]*")
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
        message: Lua's own, without chunk name and line.
        at: offset of the token in the text.
        line: the line that Lua names, from 1.
    """

    def __init__(self, message: str, at: int, line: int) -> None:
        super().__init__(message)
        self.message = message
        self.at = at
        self.line = line


@dataclass(frozen=True, slots=True)
class SyntaxToken:
    """A token as the parser takes it.

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


class StrictLexer:
    """Gives tokens one by one, and notes what some Lua implementations refuse.

    Attributes:
        long_brackets: (offset, level, whether it is a comment) of each long bracket.
        escapes: (offset, character after the backslash) of each escape in a string.
    """

    def __init__(self, source: str) -> None:
        self.source = source
        self.long_brackets: list[tuple[int, int, bool]] = []
        self.escapes: list[tuple[int, str]] = []
        self._pieces = pieces(source)
        self._at = 0  # the read position within a string
        self._line = 1

    def next(self) -> SyntaxToken:
        """The next token; after the last one always "<eof>".

        Raises:
            LuaSyntaxError: the text is not a token.
        """
        for piece in self._pieces:
            match piece.kind:
                case "space":
                    self._line += len(BREAK.findall(piece.text))
                case "comment":
                    if piece.level is not None:
                        self._long(piece)
                case "string":
                    return self._string(piece) if piece.level is None else self._long(piece)
                case "number":
                    return self._number(piece)
                case "name":
                    return self._token("<name>", piece.text, piece)
                case _:
                    return self._symbol(piece)
        return SyntaxToken("<eof>", "", len(self.source), self._line, "<eof>")

    def _symbol(self, piece: Token) -> SyntaxToken:
        """A keyword or symbol."""
        text, at = piece.text, piece.start
        if text == "[" and (broken := _BROKEN.match(self.source, at)):
            raise self._error("invalid long string delimiter", f"'{broken.group()}'", at)
        return self._token(text, "", piece)

    def _token(self, kind: str, value: str | float, piece: Token) -> SyntaxToken:
        raw = piece.text
        near = f"'{raw}'" if len(raw) > 1 or " " <= raw <= "~" else f"'<\\{ord(raw)}>'"
        return SyntaxToken(kind, value, piece.start, self._line, near if raw != "\0" else "")

    def _error(self, message: str, near: str, at: int) -> LuaSyntaxError:
        return LuaSyntaxError(f"{message} near {near}", at, self._line)

    def _long(self, piece: Token) -> SyntaxToken:
        """A long string or comment; line breaks become \\n, a first one is dropped."""
        level, what, first_line = piece.level or 0, piece.kind, self._line
        at = piece.start + 2 * (what == "comment")  # the comment's bracket follows `--`
        self.long_brackets.append((at, level, what == "comment"))
        body = self.source[at + level + 2 : piece.end - (0 if piece.unfinished else level + 2)]
        value, breaks = BREAK.subn("\n", body)
        self._line += breaks
        if piece.unfinished:
            place = f"unfinished long {what} (starting at line {first_line})"
            raise self._error(place, "<eof>", at)
        equals, value = "=" * level, value.removeprefix("\n")
        near = _quoted([f"[{equals}[", value, f"]{equals}]"])
        return SyntaxToken("<string>", value, at, self._line, near)

    def _number(self, piece: Token) -> SyntaxToken:
        value = number(piece.text)
        if value is None:
            raise self._error("malformed number", f"'{piece.text}'", piece.start)
        return self._token("<number>", value, piece)

    def _string(self, piece: Token) -> SyntaxToken:
        """A string in quotes, whose escapes are read one by one: each may be wrong."""
        source, start, parts = self.source, piece.start, [piece.text[0]]
        self._at = start + 1
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
            if char == parts[0]:
                value = "".join(parts)[1:-1]
                return SyntaxToken("<string>", value, start, self._line, _quoted(parts))

    def _escape(self, parts: list[str]) -> str:
        """The value of an escape."""
        source, start = self.source, self._at
        char = source[start + 1 : start + 2]
        self.escapes.append((start, char))
        self._at += 2
        if char in _ESCAPES and char:
            return _ESCAPES[char]
        if newline := BREAK.match(source, start + 1):
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
        """Skip what `\\z` skips: spaces and line breaks, no comments."""
        space = _SPACE.match(self.source, self._at)
        assert space  # it may be empty
        self._line += len(BREAK.findall(space.group()))
        self._at = space.end()

    def _peek(self) -> str:
        """The next character; at the end a text that is not in any set of characters."""
        return self.source[self._at : self._at + 1] or "\0eof"

    def _require(self, condition: bool, message: str, start: int, parts: list[str]) -> None:
        if not condition:
            raise self._bad(message, start, parts)

    def _bad(self, message: str, start: int, parts: list[str]) -> LuaSyntaxError:
        """An error that quotes, like Lua's, the string so far, the escape, and the failing
        character."""
        written = self.source[start : self._at + 1]
        return self._error(message, _quoted([*parts, written]), start)


def number(text: str) -> int | float | None:
    """The value of a numeral, None where it is malformed.

    Large integers wrap around in hexadecimal, and become floats in decimal.
    """
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
    """mantissa · 2^power; infinite or zero out of the range of floats."""
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
    """A text in quotes as C prints it: up to the first zero byte."""
    return f"'{''.join(parts).split(chr(0))[0]}'"
