"""Secure Boot and programs, as a log tells of them that somebody may have edited."""

from __future__ import annotations

import hashlib
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tpm_writer import (
    GLOBAL,
    HASHED,
    OWNER,
    SECURITY,
    X509,
    LogDraft,
    boot_log,
    signature_list,
    variable,
)

from aoshell.attest.errors import EvidenceError, InconclusiveError
from aoshell.attest.tpm.eventlog import EventLog, read_event_log
from aoshell.attest.tpm.secureboot import (
    SignatureEntry,
    read_programs,
    read_secure_boot,
)

VARIABLE, SEPARATOR, ACTION, PROGRAM, IPL = 0x80000001, 4, 0x80000007, 0x80000003, 0x0D
CALLING = b"Calling EFI Application from Boot Option"


def read(draft: LogDraft) -> EventLog:
    return read_event_log(draft.write())


def refused(error: str, look: Any, log: EventLog) -> str:
    kind = InconclusiveError if error.endswith("UNKNOWN") else EvidenceError
    with pytest.raises(kind) as raised:
        look(log)
    assert raised.value.error == error
    assert isinstance(raised.value, InconclusiveError) == (kind is InconclusiveError)
    return str(raised.value.what)


def digest(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


@pytest.mark.parametrize(("value", "enabled"), [(b"\x01", True), (b"\0", False), (b"", False)])
def test_what_the_firmware_measured(value: bytes, enabled: bool) -> None:
    found = read_secure_boot(read(boot_log(secure_boot=value)))
    assert found.enabled is enabled
    assert found.actions == ()
    assert [*found.lists] == ["PK", "KEK", "db", "dbx"]
    signer = SignatureEntry("x509", str(OWNER), b"signer of images")
    assert found.lists["db"] == (signer,)
    assert signer.identity == digest(b"signer of images").hex()
    assert [one.data for one in found.lists["dbx"]] == [bytes([at]) * 32 for at in range(3)]
    assert {one.kind for one in found.lists["dbx"]} == {"sha256"}


def test_empty_and_mixed_lists() -> None:
    other = signature_list(OWNER, b"abcd", b"efgh")
    db = signature_list(X509, b"signer of images") + other
    found = read_secure_boot(read(configuration(*variables(db=db))))
    assert [len(one) for one in found.lists.values()] == [0, 0, 3, 0]
    assert [one.kind for one in found.lists["db"]] == ["x509", str(OWNER), str(OWNER)]


def configuration(*events: tuple[int, bytes], end: bool = True) -> LogDraft:
    """A log whose PCR 7 has these events, and a separator."""
    draft = LogDraft()
    for kind, data in events:
        draft.add(7, kind, data)
    return draft.add(7, SEPARATOR, bytes(4)) if end else draft


def variables(**contents: bytes) -> list[tuple[int, bytes]]:
    whole = {"SecureBoot": b"\x01", "PK": b"", "KEK": b"", "db": b"", "dbx": b""} | contents
    return [
        (VARIABLE, variable(name, content, SECURITY if name.startswith("db") else GLOBAL))
        for name, content in whole.items()
    ]


def test_warnings_and_more_variables() -> None:
    due = variables(db=signature_list(X509, b"a driver's signer"))
    used = OWNER.bytes_le + b"a driver's signer"
    draft = configuration(
        (ACTION, b"UEFI Debug Mode"),
        *due[:3],
        (ACTION, b"DMA Protection Disabled"),
        *due[3:],
        (VARIABLE, variable("dbt", b"", SECURITY)),
        (0x800000E0, variable("db", used, SECURITY)),
    )
    found = read_secure_boot(read(draft))
    assert found.enabled
    assert found.actions == ("UEFI Debug Mode", "DMA Protection Disabled")


DUE = variables()
UNKNOWN = {
    "no event": configuration(),
    "no separator": configuration(*DUE, end=False),
    "another separator": configuration(*DUE, (SEPARATOR, b"\0\0\0\x01")),
    "SecureBoot missing": configuration(*DUE[1:]),
    "dbx missing": configuration(*DUE[:4]),
    "SecureBoot twice": configuration(DUE[0], *DUE),
    "another order": configuration(*DUE[:3], DUE[4], DUE[3]),
    "SecureBoot of another owner": configuration(
        (VARIABLE, variable("SecureBoot", b"\x01", SECURITY)), *DUE[1:]
    ),
    "another case": configuration((VARIABLE, variable("secureboot", b"\x01")), *DUE[1:]),
    "SecureBoot of 2": configuration(*variables(SecureBoot=b"\x02")),
    "a long SecureBoot": configuration(*variables(SecureBoot=b"\x01\x01")),
    "another action": configuration((ACTION, b"Something else"), *DUE),
    "a text before": configuration((IPL, b"a program could be this"), *DUE),
    "a long name": configuration(
        (VARIABLE, GLOBAL.bytes_le + struct.pack("<QQ", 257, 0) + b"a\0" * 257), *DUE
    ),
    "a name of 2^64": configuration(
        (VARIABLE, GLOBAL.bytes_le + struct.pack("<QQ", (1 << 64) - 1, 0)), *DUE
    ),
    "content of 2^64": configuration(
        (VARIABLE, GLOBAL.bytes_le + struct.pack("<QQ", 0, (1 << 64) - 1)), *DUE
    ),
    "bytes behind": configuration((VARIABLE, DUE[0][1] + b"\0"), *DUE[1:]),
}


@pytest.mark.parametrize("case", UNKNOWN)
def test_what_cannot_be_told(case: str) -> None:
    refused("SECURE_BOOT_UNKNOWN", read_secure_boot, read(UNKNOWN[case]))


LIST = signature_list(HASHED, bytes(32))
LISTS = {
    "half a list": LIST[:-1],
    "bytes behind": LIST + b"\0",
    "an entry without data": X509.bytes_le + struct.pack("<III", 28, 0, 16),
    "entries of no size": X509.bytes_le + struct.pack("<III", 28, 0, 0),
    "a list of no size": X509.bytes_le + struct.pack("<III", 0, 0, 48),
    "a list of 2^32": X509.bytes_le + struct.pack("<III", (1 << 32) - 1, 0, 48),
    "very many entries": X509.bytes_le + struct.pack("<III", 28 + 17 * (1 << 15), 0, 17),
    "a header": X509.bytes_le + struct.pack("<III", 32, 4, 48) + bytes(4),
    "sizes that do not fit": X509.bytes_le + struct.pack("<III", 28 + 49, 0, 48) + bytes(49),
}


@pytest.mark.parametrize("case", LISTS)
@pytest.mark.parametrize("name", ["PK", "db", "dbx"])
def test_lists_that_are_none(case: str, name: str) -> None:
    draft = configuration(*variables(**{name: LISTS[case]}))
    what = refused("SECURE_BOOT_UNKNOWN", read_secure_boot, read(draft))
    assert name in what


@pytest.mark.parametrize("at", range(6))
def test_data_that_was_not_extended(at: int) -> None:
    """Each event before the separator counts, not only the one that somebody edited."""
    draft = LogDraft()
    for number, (kind, data) in enumerate([(ACTION, b"UEFI Debug Mode"), *DUE]):
        draft.add(7, kind, data, hashed=b"something else" if number == at else None)
    draft.add(7, SEPARATOR, bytes(4))
    refused("EVENT_DATA_DIGEST", read_secure_boot, read(draft))


def test_secure_boot_that_a_program_claims_later() -> None:
    """The attack: Secure Boot is off; a program extends variables of its own choice and another
    separator, and the log calls the true ones something else."""
    true, false = variables(SecureBoot=b"\0"), variables()
    for called in (IPL, ACTION, 0x800000E0, 0x80000008, PROGRAM):
        draft = configuration(*((called, data) for _, data in true))
        for kind, data in [*false, (SEPARATOR, bytes(4))]:
            draft.add(7, kind, data)
        assert read_secure_boot(read(draft)).enabled is False
        # The same, with the true separator called something else.
        renamed = LogDraft()
        for kind, data in [*((called, data) for _, data in true), (called, bytes(4)), *false]:
            renamed.add(7, kind, data)
        log = read(renamed.add(7, SEPARATOR, bytes(4)))
        refused("SECURE_BOOT_UNKNOWN", read_secure_boot, log)
        # The same, with data that hides what the true events were.
        hidden = LogDraft()
        for _, data in [*true, (SEPARATOR, bytes(4))]:
            hidden.add(7, called, b"?", hashed=data)
        for kind, data in [*false, (SEPARATOR, bytes(4))]:
            hidden.add(7, kind, data)
        refused("EVENT_DATA_DIGEST", read_secure_boot, read(hidden))


def test_what_programs_extend_later_and_is_no_change_is_not_read() -> None:
    draft = configuration(*DUE)
    draft.add(7, 0x800000E0, b"no variable")
    draft.add(7, 0x800000E0, variable("MokList", b"y"))
    assert read_secure_boot(read(draft)) == read_secure_boot(read(configuration(*DUE)))


def test_programs() -> None:
    log = read(boot_log(programs=(b"one", b"two", b"three")))
    assert read_programs(log) == (digest(b"one"), digest(b"two"), digest(b"three"))
    assert read_programs(read(LogDraft())) == ()
    drivers = LogDraft().add(4, 0x80000004, b"", b"a").add(4, 0x80000005, b"", b"b")
    assert read_programs(read(drivers)) == (digest(b"a"), digest(b"b"))


@pytest.mark.parametrize(
    ("error", "kind", "data"),
    [
        ("SOFTWARE_UNKNOWN", ACTION, b"the bytes of a program"),
        ("SOFTWARE_UNKNOWN", IPL, b"the bytes of a program"),
        ("SOFTWARE_UNKNOWN", SEPARATOR, b"the bytes of a program"),
        ("SOFTWARE_UNKNOWN", 0x12, b"BOOT ATTEMPTS OMITTED"),
        ("EVENT_DATA_DIGEST", ACTION, CALLING),
        ("EVENT_DATA_DIGEST", SEPARATOR, bytes(4)),
        ("EVENT_DATA_DIGEST", SEPARATOR, b"\xff" * 4),
    ],
)
def test_a_program_that_the_log_calls_something_else(error: str, kind: int, data: bytes) -> None:
    """It runs first, and extends the hash of the trusted image itself."""
    for hashed in (b"a program", None) if error == "SOFTWARE_UNKNOWN" else (b"a program",):
        draft = LogDraft().add(4, kind, data, hashed=hashed)
        refused(error, read_programs, read(draft.add(4, PROGRAM, b"", hashed=b"the image")))


def test_pcr_11_without_pcr_4_names_no_program() -> None:
    """Sections alone prove nothing: any program can extend them."""
    draft = LogDraft().add(11, IPL, b"", hashed=b".linux\0").add(11, IPL, b"", hashed=b"content")
    assert read_programs(read(draft)) == ()


@given(
    events=st.lists(
        st.tuples(
            st.sampled_from([4, 7, 11]),
            st.sampled_from([VARIABLE, SEPARATOR, ACTION, PROGRAM, IPL, 0x800000E0]),
            st.binary(max_size=60) | st.sampled_from([data for _, data in DUE] + [bytes(4)]),
            st.booleans(),
        ),
        max_size=12,
    ),
    content=st.binary(max_size=120),
)
def test_anything(events: list[tuple[int, int, bytes, bool]], content: bytes) -> None:
    draft = LogDraft()
    for pcr, kind, data, matched in events:
        draft.add(pcr, kind, data, hashed=None if matched else b"another")
    for log in (read(draft), read(configuration(*variables(db=content)))):
        for look in (read_secure_boot, read_programs):
            try:
                look(log)
            except EvidenceError as error:
                assert error.error in (
                    *("SECURE_BOOT_UNKNOWN", "EVENT_DATA_DIGEST", "SOFTWARE_UNKNOWN"),
                )
