"""The log of what firmware and loaders extended into PCRs, in TCG's crypto-agile form.

A log proves nothing until it replays to quoted PCRs. Even then only its digests are proven: what an
event's type and data say was not extended, unless its data is what was hashed (`matched`). So no
reader may rely on a type alone, or skip an event that it does not understand.

Source: TCG PC Client Platform Firmware Profile 1.06, section 10. Numbers are little-endian. A log
with SHA-256 is read, and of it that bank only.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from aoshell.attest.errors import EvidenceError
from aoshell.attest.tpm.reader import BytesReader
from aoshell.attest.tpm.structures import PCRS, SHA256

ERROR = "EVENT_LOG_MALFORMED"

LARGEST_LOG = 16 << 20  # bytes
LARGEST_DATA = 1 << 20  # bytes of one event; a revocation list of Secure Boot has some 25,000
MOST_EVENTS = 1 << 16
MOST_BANKS = 8

NO_ACTION = 0x00000003
SEPARATOR = 0x00000004
IPL = 0x0000000D
EFI_APPLICATION = 0x80000003
EFI_BOOT_DRIVER = 0x80000004
EFI_RUNTIME_DRIVER = 0x80000005
EFI_AUTHORITY = 0x800000E0

SEPARATORS = (bytes(4), b"\xff" * 4)
"""Data of a separator, after which the operating system is started."""

_SIZES = {0x04: 20, 0x0B: 32, 0x0C: 48, 0x0D: 64, 0x12: 32, 0x27: 32, 0x28: 48, 0x29: 64}
_SIGNATURE = b"Spec ID Event03\0"
_LOCALITY = b"StartupLocality\0"
_LOCALITIES = (0, 3, 4)
_LOGGED = frozenset(range(15)) - {10}  # PCRs whose events this log holds
_DYNAMIC = range(17, 23)  # PCRs that do not start from zeros


@dataclass(frozen=True, slots=True)
class LogEvent:
    """One event.

    Attributes:
        number: its place in the log, from 1 (0 is the log's own header).
        type: as the log claims (`EFI_VARIABLE`). Not extended.
        digest: SHA-256, which was extended.
        data: as the log claims. Extended only if `matched`.
    """

    number: int
    pcr: int
    type: int
    digest: bytes
    data: bytes

    @property
    def matched(self) -> bool:
        """Whether the data is what was hashed and extended."""
        return self.type != NO_ACTION and hashlib.sha256(self.data).digest() == self.digest

    @property
    def is_separator(self) -> bool:
        return self.type == SEPARATOR and self.data in SEPARATORS and self.matched


@dataclass(frozen=True, slots=True)
class EventLog:
    """A log that was read to its last byte.

    Attributes:
        locality: the one that the TPM was started from, which PCR 0 begins with.
    """

    events: tuple[LogEvent, ...]
    locality: int = 0

    @property
    def start(self) -> bytes:
        """What PCR 0 holds before its first event."""
        return self.locality.to_bytes(32, "big")

    def of(self, pcr: int) -> tuple[LogEvent, ...]:
        """What was extended into a PCR, in order."""
        return tuple(one for one in self.events if one.pcr == pcr and one.type != NO_ACTION)

    def replay(self) -> dict[int, bytes]:
        """What the PCRs hold by this log, 32 bytes each. PCRs 17 to 22 are left out, and those
        that the log has nothing of."""
        values: dict[int, bytes] = {}
        for event in self.events:
            if event.type == NO_ACTION or event.pcr in _DYNAMIC:
                continue
            before = values.get(event.pcr) or (bytes(32) if event.pcr else self.start)
            values[event.pcr] = hashlib.sha256(before + event.digest).digest()
        return values


def check_replay(log: EventLog, quoted: Mapping[int, bytes]) -> tuple[int, ...]:
    """The quoted PCRs that the log has events of.

    One that it has none of must hold what it started with: a log may not leave a PCR out. The log
    of PCR 10 (IMA) is another one, that of PCR 15 too (`runtime`).

    Args:
        quoted: values, by PCR.

    Raises:
        EvidenceError: EVENT_LOG_REPLAY: the log gives another value for one of them.
    """
    replayed = log.replay()
    logged = sorted(quoted.keys() & _LOGGED)
    start = {pcr: bytes(32) for pcr in logged} | {0: log.start}
    if wrong := [pcr for pcr in logged if replayed.get(pcr, start[pcr]) != quoted[pcr]]:
        listed = " ".join(map(str, wrong))
        what = f"the event log does not lead to the quoted value of PCR {listed}"
        raise EvidenceError("EVENT_LOG_REPLAY", what)
    return tuple(pcr for pcr in logged if pcr in replayed)


def read_event_log(data: bytes) -> EventLog:
    """The events of a log.

    Raises:
        EvidenceError: EVENT_LOG_MALFORMED: it is in another form, cut off, without SHA-256, or
            over a bound; or bytes are left.
    """
    reader = BytesReader(data, "the event log", ERROR, "little")
    if len(data) > LARGEST_LOG:
        raise reader.refuse(f"{len(data)} bytes, where {LARGEST_LOG} is the most")
    sizes = _read_header(reader)
    events: list[LogEvent] = []
    locality: int | None = None
    while reader:
        if len(events) == MOST_EVENTS:
            raise reader.refuse(f"more than {MOST_EVENTS} events")
        event = _read_event(reader, sizes, len(events) + 1)
        if event.type == NO_ACTION and event.data.startswith(_LOCALITY):
            if locality is not None or any(one.pcr == 0 for one in events):
                raise reader.refuse("a second startup locality, or after events of PCR 0")
            locality = _read_locality(reader, event)
        events.append(event)
    return EventLog(tuple(events), locality or 0)


def _read_header(reader: BytesReader) -> dict[int, int]:
    """The first event, which has the older form: sizes of digests by algorithm."""
    pcr, kind, digest = reader.number(4), reader.number(4), reader.take(20)
    data = reader.take(_read_size(reader))
    if (pcr, kind) != (0, NO_ACTION) or any(digest) or not data.startswith(_SIGNATURE):
        raise reader.refuse(
            "it does not begin as a crypto-agile log does; perhaps it is SHA-1 only"
        )
    header = BytesReader(data, "the event log's header", ERROR, "little")
    header.take(len(_SIGNATURE) + 4 + 4)  # class of the platform, version of the specification
    count = header.number(4)
    if not 1 <= count <= MOST_BANKS:
        raise header.refuse(f"{count} algorithms, where 1 to {MOST_BANKS} are due")
    sizes: dict[int, int] = {}
    for _ in range(count):
        algorithm, size = header.number(2), header.number(2)
        if _SIZES.get(algorithm) != size:
            raise header.refuse(f"algorithm {algorithm:#06x} with digests of {size} bytes")
        if algorithm in sizes:
            raise header.refuse(f"algorithm {algorithm:#06x} twice")
        sizes[algorithm] = size
    header.take(header.number(1))  # what the vendor adds
    header.end()
    if SHA256 not in sizes:
        raise header.refuse("no digests of SHA-256")
    return sizes


def _read_event(reader: BytesReader, sizes: Mapping[int, int], number: int) -> LogEvent:
    pcr, kind, count = reader.number(4), reader.number(4), reader.number(4)
    if pcr >= PCRS and kind != NO_ACTION:
        raise reader.refuse(f"an event of PCR {pcr}, where {PCRS - 1} is the last")
    if count > len(sizes):
        raise reader.refuse(f"an event with {count} digests, where {len(sizes)} is the most")
    digests: dict[int, bytes] = {}
    for _ in range(count):
        algorithm = reader.number(2)
        if algorithm not in sizes:
            raise reader.refuse(f"a digest by algorithm {algorithm:#06x}, which is not announced")
        if algorithm in digests:
            raise reader.refuse(f"two digests by algorithm {algorithm:#06x}")
        digests[algorithm] = reader.take(sizes[algorithm])
    if SHA256 not in digests:
        raise reader.refuse("an event without a digest of SHA-256")
    return LogEvent(number, pcr, kind, digests[SHA256], reader.take(_read_size(reader)))


def _read_size(reader: BytesReader) -> int:
    size = reader.number(4)
    if size > LARGEST_DATA:
        raise reader.refuse(f"an event of {size} bytes, where {LARGEST_DATA} is the most")
    return size


def _read_locality(reader: BytesReader, event: LogEvent) -> int:
    locality = event.data[len(_LOCALITY) :]
    if event.pcr != 0 or len(locality) != 1 or locality[0] not in _LOCALITIES:
        raise reader.refuse("a startup locality that there is not")
    return locality[0]
