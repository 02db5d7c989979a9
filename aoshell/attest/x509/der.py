"""A strict reader of DER (X.690), for the subset that certificates of chips need.

Why not a library: every certificate of an SEV-SNP chip has the serial number 0, which general
libraries refuse, or have announced to refuse. They also refuse genuine certificates of TPMs. And
they accept what must be refused here: lengths that are not minimal, octets after the end. Only
cryptographic primitives come from a library.

A reader goes only as deep as its caller asks, so deep nesting cannot exhaust it.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from aoshell.attest.errors import EvidenceError

BOOLEAN, INTEGER, BITS, OCTETS, OID = 0x01, 0x02, 0x03, 0x04, 0x06
UTF8, PRINTABLE, IA5, UTC_TIME, TIME = 0x0C, 0x13, 0x16, 0x17, 0x18
SEQUENCE, SET = 0x30, 0x31
LONGEST_OID = 32  # octets; those in AMD's certificates have up to 10

_TEXT = {UTF8: "utf-8", PRINTABLE: "ascii", IA5: "ascii"}


class DerReader:
    """Reads the elements of a DER value in order. Each method raises EvidenceError (CERT_PARSE).

    Args:
        data: all content octets.
        what: what they are, for errors.
        written_defaults: whether a BOOLEAN may be FALSE and written out, which DER forbids. Intel's
            TPMs have it in their certificates.
    """

    def __init__(self, data: bytes, what: str, *, written_defaults: bool = False) -> None:
        self._data = data
        self._what = what
        self._at = 0
        self._written_defaults = written_defaults

    def __bool__(self) -> bool:
        """Whether anything is left."""
        return self._at < len(self._data)

    def refuse(self, why: str) -> EvidenceError:
        """The error for what was just read."""
        return EvidenceError("CERT_PARSE", f"{self._what}: {why} at byte {self._at}")

    def peek(self) -> int:
        """The tag that comes next, -1 at the end."""
        return self._data[self._at] if self else -1

    def take(self, tag: int) -> bytes:
        """The content of the next element, which must have this tag."""
        return self.element(tag)[1]

    def element(self, tag: int) -> tuple[bytes, bytes]:
        """(the whole element, its content)."""
        start = self._at
        if self.peek() != tag:
            found = f"{self.peek():#04x}" if self else "nothing"
            raise self.refuse(f"tag {found} instead of {tag:#04x}")
        length = self._length()
        begin, end = self._at, self._at + length
        if end > len(self._data):
            raise self.refuse("a length that goes beyond the end")
        self._at = end
        return self._data[start:end], self._data[begin:end]

    def _length(self) -> int:
        """The length that comes next, in its shortest form (X.690 section 10.1)."""
        self._at += 2
        if self._at > len(self._data):
            raise self.refuse("no length")
        first = self._data[self._at - 1]
        if first < 0x80:
            return first
        count = first & 0x7F
        octets = self._data[self._at : self._at + count]
        length = int.from_bytes(octets, "big")
        if not 1 <= count <= 4 or len(octets) != count or length < 0x80 or octets[0] == 0:
            raise self.refuse("a length that is indefinite, or not in its shortest form")
        self._at += count
        return length

    def inside(self, tag: int) -> DerReader:
        """A reader of the next element's content."""
        return DerReader(self.take(tag), self._what, written_defaults=self._written_defaults)

    def end(self) -> None:
        """Checks that nothing is left."""
        if self:
            raise self.refuse("something after the end")

    def rest(self) -> bytes:
        """All that is left, unread."""
        octets, self._at = self._data[self._at :], len(self._data)
        return octets

    def each(self, tag: int) -> Iterator[DerReader]:
        """Readers of all remaining elements."""
        while self:
            yield self.inside(tag)

    def integer(self) -> int:
        """A non-negative INTEGER in its shortest form (X.690 section 8.3.2)."""
        octets = self.take(INTEGER)
        padded = len(octets) > 1 and octets[0] == 0 and octets[1] < 0x80
        if not octets or octets[0] >= 0x80 or padded:
            raise self.refuse("an integer that is negative, or not in its shortest form")
        return int.from_bytes(octets, "big")

    def bits(self) -> bytes:
        """A BIT STRING of whole octets."""
        octets = self.take(BITS)
        if octets[:1] != b"\0":
            raise self.refuse("a bit string that is not of whole octets")
        return octets[1:]

    def boolean(self) -> bool:
        """A BOOLEAN whose default is False: DER leaves a default value out (X.690 section 11.5)."""
        if self.peek() != BOOLEAN:
            return False
        octets = self.take(BOOLEAN)
        if octets == b"\0" and self._written_defaults:
            return False
        if octets != b"\xff":  # X.690 section 11.1
            raise self.refuse("a boolean that is not true in its one form")
        return True

    def oid(self) -> str:
        """An OBJECT IDENTIFIER in dotted form (X.690 section 8.19)."""
        octets = self.take(OID)
        if not 0 < len(octets) <= LONGEST_OID or octets[-1] & 0x80:
            raise self.refuse("an object identifier that is empty, too long or cut off")
        numbers, number, fresh = [], 0, True
        for octet in octets:
            if fresh and octet == 0x80:
                raise self.refuse("an object identifier that is not in its shortest form")
            number, fresh = number << 7 | octet & 0x7F, octet < 0x80
            if fresh:
                numbers.append(number)
                number = 0
        # The first two numbers share one: 40 * first + second, first being 0, 1 or 2.
        first = min(numbers[0] // 40, 2)
        return ".".join(map(str, (first, numbers[0] - 40 * first, *numbers[1:])))

    def text(self) -> str:
        """A string of one of the kinds that occur in names."""
        tag = self.peek()
        octets = self.take(tag if tag in _TEXT else UTF8)
        try:
            return octets.decode(_TEXT[tag])
        except UnicodeDecodeError:
            raise self.refuse("a string with characters that its kind does not have") from None

    def time(self) -> int:
        """A UTCTime or GeneralizedTime in its one form, as seconds since the Unix epoch."""
        tag = self.peek()
        octets = self.take(tag if tag == TIME else UTC_TIME)
        digits, length = octets[:-1], 14 if tag == TIME else 12
        if octets[-1:] != b"Z" or not digits.isdigit() or len(digits) != length:
            raise self.refuse("a time that is not in the form of RFC 5280 section 4.1.2.5")
        text = digits.decode()
        if tag == UTC_TIME:  # RFC 5280 section 4.1.2.5.1
            text = ("19" if text >= "50" else "20") + text
        month, day, hour, minute, second = (int(text[at : at + 2]) for at in range(4, 14, 2))
        try:
            moment = datetime(int(text[:4]), month, day, hour, minute, second, tzinfo=UTC)
        except ValueError:
            raise self.refuse("a time that does not exist") from None
        return int(moment.timestamp())
