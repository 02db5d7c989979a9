"""Recognises what a file is from its bytes: text and its encoding, or bytes written as text.

`describe_file()` names a file that cannot be used, for an error. It decides nothing.
"""

from __future__ import annotations

import base64
import binascii
import re

from aoshell.protocol.encoding import brief

LARGEST_TEXT = 1 << 20  # bytes of text that are decoded from hexadecimal or base64
UNKNOWN = "bytes of no known form"
_SHOWN = 160  # bytes of a text's beginning that decide its name, and that an error shows

_UTF8_MARK = b"\xef\xbb\xbf"
_UTF16_MARKS = {b"\xff\xfe": "utf-16-le", b"\xfe\xff": "utf-16-be"}

# For text without blanks around it: a pattern that could match blanks in two ways would take
# exponential time to refuse a long text.
_HEX = re.compile(rb"(?:0[xX])?([0-9a-fA-F\s]+)")
_BASE64 = re.compile(rb"[A-Za-z0-9+/\s]+={0,2}|[A-Za-z0-9_\-\s]+={0,2}")
_PROTO = re.compile(rb"\x0a[\x80-\xff]{1,2}[\x01-\x7f]\x08[\x01-\x7f]", re.DOTALL)
_PEM = re.compile(rb"-----BEGIN ([A-Z0-9 ]{1,40})-----")
_TEXTS = {
    re.compile(rb"<(?:!doctype\s+html|html|head|body)\b", re.IGNORECASE): "an HTML page",
    re.compile(rb"<"): "XML, or another text with tags",
    re.compile(rb"#\{\s*<<"): "an Erlang term",
    re.compile(rb"report:? ?\{\s*version:"): "a textproto of go-sev-guest",
    re.compile(
        rb"[0-9a-fA-F]{6,16}:?\s+(?:[0-9a-fA-F]{2,8}\s+){4}"
    ): "a hex dump with offsets (`xxd -p` writes one that is read)",
    re.compile(rb"[\[{]"): "JSON",
    re.compile(
        rb"(?:#[^\n]*\n)*[a-zA-Z0-9][!-9;-~]*: "
    ): "text of keys and values, as HyperBEAM's flat codec writes it",
}

_BINARY = {
    b"\x1f\x8b": "a gzip archive",
    b"PK\x03\x04": "a zip archive",
    b"\x7fELF": "a program",
    b"HCLA": "a report in Azure's HCL frame",
}


def decode_text(data: bytes) -> bytes:
    """Removes a byte order mark, and turns UTF-16 (as a Windows prompt writes it) into UTF-8. Other
    bytes stay as they are."""
    if data.startswith(_UTF8_MARK):
        return data[len(_UTF8_MARK) :]
    if (encoding := _UTF16_MARKS.get(data[:2])) and len(data) <= 2 * LARGEST_TEXT:
        try:
            return data[2:].decode(encoding).encode()
        except UnicodeError:
            pass
    return data


def decode_digits(text: bytes) -> tuple[bytes, str]:
    """The bytes that a text in hexadecimal or base64 stands for, and "in hexadecimal" or "in
    base64"; (b"", "") if it is neither as a whole."""
    if len(text) > LARGEST_TEXT:
        return b"", ""
    text = text.strip()
    if found := _HEX.fullmatch(text):
        digits = b"".join(found[1].split())
        whole = digits and len(digits) % 2 == 0
        return (bytes.fromhex(digits.decode("ascii")), "in hexadecimal") if whole else (b"", "")
    if _BASE64.fullmatch(text):
        return _from_base64(b"".join(text.split())), "in base64"
    return b"", ""


def _from_base64(text: bytes) -> bytes:
    """The bytes of base64 or base64url, padded or not; b"" if it is not the one form of its bytes
    (RFC 4648 section 3.5)."""
    letters = text.rstrip(b"=")
    altchars = b"-_" if re.search(rb"[-_]", letters) else b"+/"
    try:
        octets = base64.b64decode(letters + b"=" * (-len(letters) % 4), altchars, validate=True)
    except binascii.Error:
        return b""
    same = base64.b64encode(octets, altchars)
    return octets if text in (same, same.rstrip(b"=")) else b""


def describe_file(data: bytes) -> str:
    """What a file seems to be ("an HTML page"), for people."""
    text = decode_text(data)
    if not text.strip():
        return "empty"
    if is_der(text):
        return "DER, or begins like it"
    for beginning, name in _BINARY.items():
        if text.startswith(beginning):
            return name
    if _is_old_sev(text):
        return "a certificate in AMD's older SEV format, not X.509"
    if _PROTO.match(text):
        return "a protobuf, perhaps of go-sev-guest"
    return _describe_text(text) if _is_text(text[:_SHOWN]) else f"{len(text)} {UNKNOWN}"


def _describe_text(text: bytes) -> str:
    if found := _PEM.search(text):
        kind = found[1].decode("ascii")
        ended = b"-----END " + found[1] + b"-----" in text
        return f"PEM ({kind})" if ended else f"PEM ({kind}) without its end"
    beginning = text.lstrip()[:_SHOWN]
    for form, name in _TEXTS.items():
        if form.match(beginning):
            return name
    return f"text: {brief(' '.join(beginning.decode('utf-8', 'ignore').split()))}"


def _is_text(beginning: bytes) -> bool:
    """Whether these are printable characters in UTF-8; the last one may be cut off."""
    try:
        characters = beginning.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < len(beginning) - 3:
            return False
        characters = beginning[: error.start].decode("utf-8")
    return all(one.isprintable() or one.isspace() for one in characters)


def _is_old_sev(data: bytes) -> bool:
    """Whether this is an ASK or ARK in the format for SEV before SNP (AMD 55766)."""
    version, modulus = (int.from_bytes(data[at : at + 4], "little") for at in (0x00, 0x3C))
    return version == 1 and modulus in (2048, 4096)


def is_der(data: bytes) -> bool:
    """Whether DER of more than 127 bytes seems to begin here. All certificates are that long."""
    return data[:1] == b"\x30" and data[1:2] >= b"\x80"
