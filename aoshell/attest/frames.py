"""Reports in what the field's tools put around them. A form is told by its magic and its lengths,
what must be zero in it is, and nothing but the 1184 bytes of the report goes on from here.

    bytes alone                             sev tools, configfs-tsm, go-sev-guest
    a certificate table behind them         go-sev-guest `attest -extended`
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
LEAST = 64  # bytes that a text must write down to be taken for a report that was cut

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
    """A report and what was around it.

    Attributes:
        raw: the report; where nothing was recognised all that there was.
        text: the report as JSON, which is then to be read instead of `raw`.
        table: the certificate table behind it, b"" without.
        form: how it was written, as "in base64", for people; "" for bytes alone.
    """

    raw: bytes = b""
    text: bytes = b""
    table: bytes = b""
    form: str = ""


def read_frame(data: bytes) -> Framed:
    """The report in a file that is no JSON.

    Raises:
        EvidenceError: REPORT_FORM, the file has another form than those above.
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
    raise EvidenceError("REPORT_FORM", f"this is no report that can be read but {what}", _HINT)


def _frame(data: bytes) -> Framed | None:
    """A report with what may be around it; None where it is none of these."""
    if len(data) == SIZE:
        return Framed(data)
    if data.startswith(_HCL_MAGIC):
        return Framed(_from_hcl(data), form="in Azure's HCL frame")
    if len(data) > SIZE and tables.looks_like_table(data[SIZE:]):
        return Framed(data[:SIZE], table=data[SIZE:])
    return _from_firmware(data)


def _from_firmware(data: bytes) -> Framed | None:
    """What the firmware answered; None where the data do not begin like that. The size is 0 where a
    tool has left the header empty: then only the length tells.

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
        what = f"the firmware gave no report but the status {status:#x}"
    elif not due or any(rest[SIZE:]):
        what = f"an answer of the firmware in {len(data)} bytes, not {_ANSWERS[0]}, nor "
        what += f"{_ANSWERS[1]} that are zero to the end"
    else:
        return Framed(rest[:SIZE], form="behind the header of the firmware's answer")
    raise EvidenceError("REPORT_FORM", what, _HINT)


def _from_hcl(data: bytes) -> bytes:
    """The hardware's report in a frame of Azure's. The runtime data behind it are not looked at,
    but they must be those whose hash the report has: a frame with other data is nobody's.

    Raises:
        EvidenceError: REPORT_FORM.
    """
    version = int.from_bytes(data[4:8], "little")
    begin = _HCL_HEADER + SIZE
    if version not in _HCL_VERSIONS or len(data) > LARGEST_FRAME or len(data) < begin:
        raise _refuse_hcl(f"version {version}, {len(data)} bytes: not known here")
    report = data[_HCL_HEADER:begin]
    if len(data) == begin:
        return report
    if len(data) < begin + _HCL_DATA.size:
        raise _refuse_hcl("it is cut off")
    *_, kind, hashed, length = _HCL_DATA.unpack_from(data, begin)
    if kind != _HCL_SNP:
        raise _refuse_hcl(f"it holds a report of kind {kind}, SEV-SNP is {_HCL_SNP}")
    runtime, end = data[begin + _HCL_DATA.size :][:length], begin + _HCL_DATA.size + length
    if len(runtime) != length or any(data[end:]):
        raise _refuse_hcl("its length is not the one that it says")
    if hashed not in _HCL_HASHES:
        raise _refuse_hcl(f"hash {hashed} is not known here")
    if hashlib.new(_HCL_HASHES[hashed], runtime).digest().ljust(64, b"\0") != report[_REPORT_DATA]:
        raise _refuse_hcl("its runtime data are not those that the report vouches for")
    return report


def _refuse_hcl(why: str) -> EvidenceError:
    return EvidenceError("REPORT_FORM", f"a report in Azure's HCL frame: {why}")


def _flat_report(text: bytes) -> bytes:
    """The report's JSON in a dump of HyperBEAM's flat codec, b"" where a text is no such dump.
    Whatever else stands there is nobody's word: the dump's signatures cannot be checked.

    Raises:
        EvidenceError: REPORT_FORM, there is more than one.
    """
    if len(text) > forms.LARGEST_TEXT:
        return b""
    found = _FLAT_LINE.findall(text)
    if len(found) > 1:
        what = f"a flat dump of HyperBEAM with {len(found)} reports in it, one is due"
        raise EvidenceError("REPORT_FORM", what)
    return bytes(found[0]) if found else b""
