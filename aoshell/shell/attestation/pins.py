"""What is remembered of attestations: which key and software a node had, and which software has a
name. Files of ours below the state folder, each written whole.

    attested/<digest of the URL>.json    a node's newest attestation that passed
    trusted.toml                         what `.trust` named, as the policy file has it
"""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from aoshell import durable
from aoshell.bounded import files, jsontext
from aoshell.errors import AoError
from aoshell.nodes.values import Pin

if TYPE_CHECKING:
    from aoshell.attest.policy import Image
    from aoshell.home.folders import Settings

LARGEST_PIN = 64 << 10  # bytes of the file of one attestation
LIFETIME = 24 * 3600  # seconds until a node must be attested again


@dataclass(frozen=True, slots=True)
class Passed:
    """An attestation that passed.

    Attributes:
        origin: URL of the node.
        address: of its key.
        measurement, evidence_id: in hexadecimal.
        image: the user's name for the software, "" where it has none.
        at: when, seconds since the Unix epoch.
        until: when it is not worth anything any more; 0 where a later one did not pass.
    """

    origin: str
    address: str
    measurement: str
    evidence_id: str
    image: str
    at: int
    until: int

    def changes(self, address: str, measurement: str) -> tuple[str, ...]:
        """What is not as it was, as a person reads it."""
        values = {"key": (self.address, address), "measurement": (self.measurement, measurement)}
        return tuple(
            f"the {name} was {before} and is {now}"
            for name, (before, now) in values.items()
            if now and before != now
        )


class AttestationPins:
    """Attestations that passed, by the URL of the node.

    Args:
        settings: whose state folder is used.
    """

    def __init__(self, settings: Settings) -> None:
        self._folder = settings.state / "attested"

    def get(self, origin: str) -> Passed | None:
        """The newest of a node, lapsed or not; None where there is none.

        Raises:
            AoError: stage "attest", the file cannot be read.
        """
        path = self._path(origin)
        try:
            found = jsontext.parse(files.read(path, LARGEST_PIN))
            return Passed(
                origin=str(found["origin"]),
                address=str(found["address"]),
                measurement=str(found["measurement"]),
                evidence_id=str(found["evidence_id"]),
                image=str(found["image"]),
                at=int(found["at"]),
                until=int(found["until"]),
            )
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, ValueError, TypeError, LookupError) as error:
            raise AoError(
                f"{path} does not say how the node was attested: {error}",
                stage="attest",
                hint="move it away; then a changed key or software is not noticed once",
            ) from error

    def put(self, passed: Passed) -> None:
        """Keep one, in place of an older one of that node. Raises AoError, stage "attest"."""
        write_file(self._path(passed.origin), json.dumps(asdict(passed), indent=1).encode())

    def lapse(self, origin: str) -> None:
        """A node did not pass: it is attested no more, and what it was stays known."""
        known = self.get(origin)
        if known and known.until:
            self.put(replace(known, until=0))

    def pin(self, origin: str) -> Pin | None:
        """The key that answers must be signed with; None where the node is not attested."""
        known = self.get(origin)
        if known is None or known.until <= time.time():
            return None
        return Pin(known.address, known.until)

    def _path(self, origin: str) -> Path:
        return self._folder / f"{hashlib.sha256(origin.encode()).hexdigest()[:32]}.json"


class Trusted:
    """Software that `.trust` has named.

    Args:
        settings: whose state folder is used.
    """

    def __init__(self, settings: Settings) -> None:
        self.path = settings.state / "trusted.toml"

    def images(self) -> tuple[Image, ...]:
        """All of it. Raises AoError, stage "policy": the file is damaged."""
        from aoshell.attest.policy import LARGEST, load_policy

        try:
            return load_policy(files.read(self.path, LARGEST), str(self.path)).trusted
        except (FileNotFoundError, NotADirectoryError):
            return ()
        except OSError as error:
            why = error.strerror or str(error)
            raise AoError(f"{self.path} cannot be read: {why}", stage="policy") from error

    def put(self, image: Image) -> None:
        """Keep a name, in place of the same one. Raises AoError."""
        from aoshell.attest.policy import load_policy

        others = [one for one in self.images() if one.name != image.name]
        content = "".join(map(_entry, (*others, image))).encode()
        load_policy(content)  # what cannot be read again is not written
        write_file(self.path, content)


def _entry(image: Image) -> str:
    # A string of JSON is one of TOML, too.
    name = json.dumps(image.name, ensure_ascii=False).replace("\x7f", "\\u007f")
    return f'[[trusted]]\nname = {name}\nmeasurement = "{image.measurement.hex()}"\n\n'


def write_file(path: Path, content: bytes) -> None:
    """Write a file whole or not at all, for the user's eyes. Raises AoError, stage "attest"."""
    try:
        durable.make_folder(path.parent)
        durable.write(path, [content])
    except OSError as error:
        why = error.strerror or str(error)
        raise AoError(f"{path} cannot be written: {why}", stage="attest") from error
