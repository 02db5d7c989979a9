"""Reads reports in the frames and encodings that other tools put around them.

A form is recognised by its magic number and its lengths, and its reserved bytes must be zero. Only
the 1184 bytes of the report, and a certificate table after it, are passed on.

    bytes alone                             sev tools, configfs-tsm, go-sev-guest
    a certificate table after them         go-sev-guest `attest -extended`
    32 bytes of header before them          the answer of SNP_GET_REPORT (MSG_REPORT_RSP), alone or
                                            in the 4000 bytes of the Linux ioctl
    Azure's HCL frame                       the vTPM of a confidential VM, NV index 0x01400001
    any of these in hexadecimal or base64
    a line `report: {…}`                    a dump of HyperBEAM in its flat codec

Sources: AMD 56860, table MSG_REPORT_RSP; linux/sev-guest.h; OpenHCL, IgvmAttestRequestBase.
"""

from __future__ import annotations

import hashlib
import re
import struct
from dataclasses import dataclass

from aoshell.attest import forms, tables
from aoshell.attest.errors import EvidenceError
from aoshell.attest.report import SIZE

LARGEST_FRAME = 64 << 10  # bytes of a frame of Azure's; those seen have 2600
LEAST = 64  # bytes that a text must stand for, to count as a report that was cut off

_HINT = "docs/attest.md lists the forms that are read"

_HEADER = struct.Struct("<II24s")  # status, size of the report, reserved
_ANSWERS = (_HEADER.size + SIZE, 4000)  # bytes: alone, and in linux/sev-guest.h

_HCL_MAGIC = b"HCLA"
_HCL_HEADER = 32  # bytes: magic, version, and what is for the host alone
_HCL_VERSIONS = (1, 2)
_HCL_DATA = struct.Struct("<IIIII")  # size, version, kind of report, hash, size of the runtime data
_HCL_SNP = 2
_HCL_HASHES = {1: "sha256", 2: "sha384", 3: "sha512"}
_REPORT_DATA = slice(0x050, 0x090)

_FLAT_LINE = re.compile(rb"^(?:[!-~]+/)?report: (\{[^\n]*\})\r?$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Framed:
    """A report, and what was around it.

    Attributes:
        raw: the report; if no form was recognised, the whole file.
        text: the report as JSON, to be read instead of `raw`; b"" if it is not JSON.
        table: the certificate table after it, b"" without one.
        form: how it was written ("in base64"), for people; "" for bytes alone.
    """

    raw: bytes = b""
    text: bytes = b""
    table: bytes = b""
    form: str = ""


def read_frame(data: bytes) -> Framed:
    """The report in a file that is not JSON.

    Raises:
        EvidenceError: REPORT_FORM: the file has none of the forms above.
    """
    if framed := _frame(data):
        return framed
    text = forms.decode_text(data)
    if report := _flat_report(text):
        return Framed(text=report)
    octets, form = forms.decode_digits(text)
    if framed := _frame(octets):
        around = ", ".join(filter(None, (framed.form, form)))
        return Framed(framed.raw, table=framed.table, form=around)
    if len(octets) >= LEAST:
        return Framed(octets, form=form)
    what = forms.describe_file(data)
    if what.endswith(forms.UNKNOWN) or not data.strip():
        return Framed(data)
    raise EvidenceError(
        "REPORT_FORM", f"the file is not a known form of a report but {what}", _HINT
    )


def _frame(data: bytes) -> Framed | None:
    """A report with what is around it; None if the data have none of these forms."""
    if len(data) == SIZE:
        return Framed(data)
    if data.startswith(_HCL_MAGIC):
        return Framed(_from_hcl(data), form="in Azure's HCL frame")
    if tables.looks_like_table(data[SIZE:]):
        return Framed(data[:SIZE], table=data[SIZE:])
    return _from_firmware(data)


def _from_firmware(data: bytes) -> Framed | None:
    """A report in the firmware's answer (AMD 56860, MSG_REPORT_RSP); None if the data do not begin
    like one. Some tools leave the header empty: then the size is 0, and only the length decides.

    Raises:
        EvidenceError: REPORT_FORM.
    """
    if len(data) < _HEADER.size:
        return None
    status, size, reserved = _HEADER.unpack_from(data)
    due = len(data) in _ANSWERS
    if any(reserved) or not (size == SIZE or (size == 0 and due)):
        return None
    rest = data[_HEADER.size :]
    if status:
        what = f"the firmware answered with the status {status:#x}, not with a report"
    elif not due or any(rest[SIZE:]):
        what = f"an answer of the firmware in {len(data)} bytes; it has {_ANSWERS[0]}, or "
        what += f"{_ANSWERS[1]} that are zero after the report"
    else:
        return Framed(rest[:SIZE], form="after the header of the firmware's answer")
    raise EvidenceError("REPORT_FORM", what, _HINT)


def _from_hcl(data: bytes) -> bytes:
    """The report in a frame of Azure's. The runtime data behind it are not used, but must be those
    whose hash is in the report: a frame with other data was put together by somebody else.

    Raises:
        EvidenceError: REPORT_FORM.
    """
    version = int.from_bytes(data[4:8], "little")
    begin = _HCL_HEADER + SIZE
    if version not in _HCL_VERSIONS or len(data) > LARGEST_FRAME or len(data) < begin:
        raise _refuse_hcl(f"version {version} with {len(data)} bytes is unknown")
    report = data[_HCL_HEADER:begin]
    if len(data) == begin:
        return report
    if len(data) < begin + _HCL_DATA.size:
        raise _refuse_hcl("it is cut off")
    *_, kind, hashed, length = _HCL_DATA.unpack_from(data, begin)
    if kind != _HCL_SNP:
        raise _refuse_hcl(f"it holds a report of kind {kind}; SEV-SNP is {_HCL_SNP}")
    runtime, end = data[begin + _HCL_DATA.size :][:length], begin + _HCL_DATA.size + length
    if len(runtime) != length or any(data[end:]):
        raise _refuse_hcl("its length differs from the one in its header")
    if hashed not in _HCL_HASHES:
        raise _refuse_hcl(f"hash {hashed} is unknown")
    if hashlib.new(_HCL_HASHES[hashed], runtime).digest().ljust(64, b"\0") != report[_REPORT_DATA]:
        raise _refuse_hcl("the report does not hold the hash of its runtime data")
    return report


def _refuse_hcl(why: str) -> EvidenceError:
    return EvidenceError("REPORT_FORM", f"a report in Azure's HCL frame: {why}")


def _flat_report(text: bytes) -> bytes:
    """The report's JSON in a dump of HyperBEAM's flat codec; b"" if a text is no such dump. Nothing
    else in it is used, since the dump's signatures cannot be checked.

    Raises:
        EvidenceError: REPORT_FORM: there is more than one report.
    """
    if len(text) > forms.LARGEST_TEXT:
        return b""
    found = _FLAT_LINE.findall(text)
    if len(found) > 1:
        what = f"the flat dump of HyperBEAM has {len(found)} reports; one is expected"
        raise EvidenceError("REPORT_FORM", what)
    return bytes(found[0]) if found else b""
