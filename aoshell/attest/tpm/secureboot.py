"""What a replayed log says of Secure Boot, and of the programs that the firmware started.

Types of events are not extended, so an attacker can edit the type of an event, and can extend more
events once his program runs. Therefore each relevant event must be understood, from the first on:
by its data, which must be what was hashed, or as the hash of a program.

Sources: TCG PC Client Platform Firmware Profile 1.06, sections 3.3.4 and 10.4; UEFI 2.10, sections
8.2 (variables) and 32.4.1 (signature lists).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import ParamSpec, TypeVar
from uuid import UUID

from aoshell.attest.errors import EvidenceError, InconclusiveError
from aoshell.attest.tpm.eventlog import (
    EFI_APPLICATION,
    EFI_BOOT_DRIVER,
    EFI_RUNTIME_DRIVER,
    ERROR,
    SEPARATORS,
    EventLog,
    LogEvent,
)
from aoshell.attest.tpm.reader import BytesReader
from aoshell.protocol.encoding import brief

LONGEST_NAME = 256  # characters of a variable's name
MOST_ENTRIES = 1 << 14  # in a variable's signature lists; published lists have some 500

CONFIGURATION_PCR, PROGRAM_PCR, SECTION_PCR = 7, 4, 11
DEBUG_MODE = "UEFI Debug Mode"  # an action: the firmware has a debugger that is on

_Given = ParamSpec("_Given")
_Read = TypeVar("_Read")

_GUID = 16  # bytes
_LIST_HEADER = _GUID + 3 * 4  # bytes before the entries of a signature list
_GLOBAL = UUID("8be4df61-93ca-11d2-aa0d-00e098032b8c")
_SECURITY = UUID("d719b2cb-3d3a-4596-a3bc-dad00e67656f")
_VARIABLES = {
    "SecureBoot": _GLOBAL,
    "PK": _GLOBAL,
    "KEK": _GLOBAL,
    "db": _SECURITY,
    "dbx": _SECURITY,
}
_KINDS = {
    UUID("a5c059a1-94e4-4aa7-87b5-ab155c2bf072"): "x509",
    UUID("c1c41626-504c-4092-aca9-41f936934328"): "sha256",
}
_PROGRAMS = (EFI_APPLICATION, EFI_BOOT_DRIVER, EFI_RUNTIME_DRIVER)
# Each other text is refused: it could be a program, whose hash is that of its bytes.
_ACTIONS = {
    PROGRAM_PCR: {
        b"Calling EFI Application from Boot Option",
        b"Returning from EFI Application from Boot Option",
    },
    CONFIGURATION_PCR: {DEBUG_MODE.encode(), b"DMA Protection Disabled"},
}


@dataclass(frozen=True, slots=True)
class SignatureEntry:
    """An entry of a signature database.

    Attributes:
        kind: "x509", "sha256", or the GUID of another kind.
        owner: GUID of who put it there.
        data: a certificate in DER, or a hash.
    """

    kind: str
    owner: str
    data: bytes

    @property
    def identity(self) -> str:
        """SHA-256 of the data, in hexadecimal. With `kind`, it names the entry."""
        return hashlib.sha256(self.data).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class SecureBoot:
    """Secure Boot as the firmware found it before it started anything.

    Attributes:
        enabled: whether it is on.
        lists: entries by "PK", "KEK", "db", "dbx". Each is there; it may be empty.
        actions: what the firmware warns of ("UEFI Debug Mode").
    """

    enabled: bool
    lists: Mapping[str, tuple[SignatureEntry, ...]]
    actions: tuple[str, ...] = ()


def read_secure_boot(log: EventLog) -> SecureBoot:
    """Secure Boot by the events of PCR 7, which the caller has replayed.

    Raises:
        EvidenceError: EVENT_DATA_DIGEST: an event's data is not what was extended.
        InconclusiveError: SECURE_BOOT_UNKNOWN: the log has no such events, or others than firmware
            makes by the specification.
    """
    actions: list[str] = []
    found: dict[str, bytes] = {}
    later: list[LogEvent] = []
    events = iter(log.of(CONFIGURATION_PCR))
    for event in events:
        if event.is_separator:
            break
        _check_data(event)
        if event.data in _ACTIONS[CONFIGURATION_PCR]:
            actions.append(event.data.decode("ascii"))
            continue
        owner, name, content = _known(_read_variable, event)
        if len(found) < len(_VARIABLES):  # then it is of a driver, or a variable that is optional
            due = [*_VARIABLES][len(found)]
            if (owner, name) != (_VARIABLES[due], due):
                raise _unknown(f"the firmware has measured {brief(name)} where {due} is due")
            found[name] = content
        else:
            later.append(event)
    else:
        raise _unknown("the event log ends before the firmware was done")
    if len(found) < len(_VARIABLES):
        raise _unknown(f"the firmware has not measured {[*_VARIABLES][len(found)]}")
    switch = found["SecureBoot"]
    if switch not in (b"", b"\0", b"\x01"):
        raise _unknown(f"the variable SecureBoot is {switch[:8].hex()}, neither 0 nor 1")
    enabled = switch == b"\x01"
    lists = {
        name: _known(_read_lists, data, name)
        for name, data in found.items()
        if name != "SecureBoot"
    }
    if enabled:
        _check_unchanged([*later, *events], found, lists["db"])
    return SecureBoot(
        enabled=enabled,
        lists=lists,
        actions=tuple(actions),
    )


def _check_unchanged(
    events: Iterable[LogEvent], found: Mapping[str, bytes], db: Sequence[SignatureEntry]
) -> None:
    """Checks that no later event of PCR 7 changes Secure Boot. A change counts at once: whoever
    adds a signer in the firmware's menu can start a program of his in the same boot. The firmware
    then measures the variable again, or the entry of `db` by which it accepted the program.

    Args:
        found: the variables as they were measured first.

    Raises:
        InconclusiveError: SECURE_BOOT_UNKNOWN.
    """
    signers = {entry.data for entry in db}
    for event in events:
        if not event.matched:
            raise _unknown(f"what event {event.number} of the log has measured is not known")
        try:
            owner, name, content = _read_variable(event)
        except EvidenceError:
            continue  # its data is what was extended, and is no variable
        is_used = name == "db" and content[_GUID:] in signers  # an entry: an owner, then its data
        if _VARIABLES.get(name) == owner and content != found[name] and not is_used:
            raise _unknown(f"{name} was changed, or had another entry, after it was measured")


def read_programs(log: EventLog) -> tuple[bytes, ...]:
    """Authenticode hashes (SHA-256) of all programs that the firmware started, in order.

    All of them, not the last: what ran first could have extended what follows.

    The hash covers what a program holds, not what it is given: where Secure Boot is off, systemd's
    stub takes a command line from the boot option. It goes to PCR 12, which nodes do not quote.

    Raises:
        EvidenceError: EVENT_DATA_DIGEST: an event's data is not what was extended.
        InconclusiveError: SOFTWARE_UNKNOWN: PCR 4 has an event that is no program, and none that
            is known to start none.
    """
    programs = []
    for event in log.of(PROGRAM_PCR):
        if event.type in _PROGRAMS:
            programs.append(event.digest)
        elif event.data in _ACTIONS[PROGRAM_PCR] or event.data in SEPARATORS:
            _check_data(event)
        else:
            what = f"event {event.number} of the log, of type {event.type:#x}, may be any program"
            raise InconclusiveError("SOFTWARE_UNKNOWN", what)
    return tuple(programs)


def _check_data(event: LogEvent) -> None:
    if not event.matched:
        what = f"the data of event {event.number} (PCR {event.pcr}) is not what was extended"
        raise EvidenceError("EVENT_DATA_DIGEST", what)


def _known(read: Callable[_Given, _Read], *given: _Given.args, **named: _Given.kwargs) -> _Read:
    """What a reader makes of data that was extended. That it cannot read it proves no fraud."""
    try:
        return read(*given, **named)
    except EvidenceError as error:
        raise _unknown(error.what) from None


def _unknown(what: str) -> InconclusiveError:
    return InconclusiveError("SECURE_BOOT_UNKNOWN", what)


def _read_variable(event: LogEvent) -> tuple[UUID, str, bytes]:
    """(owner, name, content) of a UEFI_VARIABLE_DATA."""
    reader = BytesReader(event.data, f"event {event.number} of the log", ERROR, "little")
    owner = UUID(bytes_le=reader.take(_GUID))
    letters, size = reader.number(8), reader.number(8)
    if letters > LONGEST_NAME:
        raise reader.refuse(f"a name of {letters} characters, where {LONGEST_NAME} is the most")
    name = _text(reader.take(2 * letters))
    content = reader.take(size)
    reader.end()
    return owner, name, content


def _text(data: bytes) -> str:
    return data.decode("utf-16-le", "replace")


def _read_lists(data: bytes, name: str) -> tuple[SignatureEntry, ...]:
    """The entries of a variable that holds signature lists."""
    reader = BytesReader(data, f"the variable {name}", ERROR, "little")
    entries: list[SignatureEntry] = []
    owners: dict[bytes, str] = {}
    while reader:
        kind = UUID(bytes_le=reader.take(_GUID))
        whole, header, size = reader.number(4), reader.number(4), reader.number(4)
        left = whole - _LIST_HEADER
        if header or size <= _GUID or left < 0 or left % size:
            raise reader.refuse("a signature list whose sizes do not fit")
        if len(entries) + left // size > MOST_ENTRIES:
            raise reader.refuse(f"more than {MOST_ENTRIES} entries")
        called, body = _KINDS.get(kind, str(kind)), reader.take(left)
        for at in range(0, left, size):
            entry = body[at : at + size]
            owner = owners.get(entry[:_GUID]) or str(UUID(bytes_le=entry[:_GUID]))
            owners[entry[:_GUID]] = owner
            entries.append(SignatureEntry(called, owner, entry[_GUID:]))
    return tuple(entries)
