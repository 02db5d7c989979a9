"""The strict reader of DER: each value has one form."""

from __future__ import annotations

import calendar
from collections.abc import Callable

import pytest
from der_writer import integer, oid, tlv

from aoshell.attest.errors import EvidenceError
from aoshell.attest.x509.der import DerReader

READ: dict[str, Callable[[DerReader], object]] = {
    "integer": DerReader.integer,
    "oid": DerReader.oid,
    "bits": DerReader.bits,
    "boolean": DerReader.boolean,
    "text": DerReader.text,
    "time": DerReader.time,
    "octets": lambda reader: reader.take(4),
}


def read(what: str, data: bytes) -> object:
    reader = DerReader(data, "it")
    value = READ[what](reader)
    reader.end()
    return value


@pytest.mark.parametrize(
    ("what", "data", "value"),
    [
        *(("integer", integer(number), number) for number in (0, 1, 127, 128, 255, 256, 2**200)),
        *(("oid", oid(dotted), dotted) for dotted in ("1.2.3", "2.5.29.19", "0.9.2342.19200300")),
        ("oid", b"\x06\x03\x88\x37\x03", "2.999.3"),
        ("bits", b"\x03\x03\0ab", b"ab"),
        ("bits", b"\x03\x01\0", b""),
        ("boolean", b"\x01\x01\xff", True),
        ("boolean", b"", False),
        ("text", "\x0c\x02é".encode(), "é"),
        ("text", b"\x13\x01a", "a"),
        ("time", b"\x17\x0d500101000000Z", calendar.timegm((1950, 1, 1, 0, 0, 0))),
        ("time", b"\x17\x0d491231235959Z", calendar.timegm((2049, 12, 31, 23, 59, 59))),
        ("time", b"\x18\x0f20500101000000Z", calendar.timegm((2050, 1, 1, 0, 0, 0))),
        ("octets", tlv(4, bytes(127)), bytes(127)),
        ("octets", tlv(4, bytes(128)), bytes(128)),
        ("octets", tlv(4, bytes(70_000)), bytes(70_000)),
    ],
)
def test_good(what: str, data: bytes, value: object) -> None:
    assert read(what, data) == value


def test_a_length_of_four_octets() -> None:
    content = bytes(1 << 24)
    assert read("octets", b"\x04\x84\x01\0\0\0" + content) == content


def test_a_default_that_is_written_out() -> None:
    """Read only where the caller permits it, and inside as well."""
    data = tlv(0x30, b"\x01\x01\0" + b"\x01\x01\xff" + b"\x02\x01\x05")
    inside = DerReader(data, "it", written_defaults=True).inside(0x30)
    assert [inside.boolean(), inside.boolean(), inside.boolean()] == [False, True, False]
    assert inside.rest() == b"\x02\x01\x05"
    inside.end()
    for wrong in (b"\x01\x01\x01", b"\x01\0", b"\x01\x02\0\0"):
        with pytest.raises(EvidenceError, match="boolean"):
            DerReader(wrong, "it", written_defaults=True).boolean()


@pytest.mark.parametrize(
    ("what", "data"),
    [
        ("integer", b"\x02\0"),
        ("integer", b"\x02\x01\x80"),
        ("integer", b"\x02\x02\0\x7f"),
        ("integer", b"\x02\x02\0"),
        ("integer", b"\x03\x01\0"),
        ("integer", b"\x02"),
        ("integer", b""),
        ("integer", b"\x02\x01\0\0"),
        ("oid", b"\x06\0"),
        ("oid", b"\x06\x01\x80"),
        ("oid", b"\x06\x02\x2a\x86"),
        ("oid", b"\x06\x03\x2a\x80\x01"),
        ("oid", b"\x06\x21" + b"\x01" * 33),
        ("bits", b"\x03\0"),
        ("bits", b"\x03\x02\x01a"),
        ("boolean", b"\x01\x01\x01"),
        ("boolean", b"\x01\x01\0"),
        ("boolean", b"\x01\0"),
        ("text", b"\x0c\x01\xff"),
        ("text", b"\x16\x01\xe9"),
        ("text", b"\x14\x01a"),
        ("time", b"\x17\x0b5001010000Z"),
        ("time", b"\x17\x0d500101000000+"),
        ("time", b"\x17\x0d501301000000Z"),
        ("time", b"\x17\x0d500230000000Z"),
        ("time", b"\x18\x0f00000101000000Z"),
        ("time", b"\x18\x0d500101000000Z"),
        ("time", b"\x17\x0d50010100000\xb2Z"),
        ("octets", b"\x04\x80\0\0"),
        ("octets", b"\x04\x81\x01a"),
        ("octets", b"\x04\x82\0\x80" + bytes(128)),
        ("octets", b"\x04\x85\0\0\0\0\x01a"),
        ("octets", b"\x04\x84\xff\xff\xff\xff"),
        ("octets", b"\x04\x82\x01"),
        ("octets", b"\x04\x02a"),
    ],
)
def test_bad(what: str, data: bytes) -> None:
    with pytest.raises(EvidenceError) as raised:
        read(what, data)
    assert raised.value.error == "CERT_PARSE"
    assert raised.value.what.startswith("it: ")
