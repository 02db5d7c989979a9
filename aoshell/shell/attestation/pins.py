"""Remembers attestations, in files below the state folder. Each file is written as a whole.

attested/<digest of the URL>.json    the key and software of a node's last attestation that
passed trusted.toml                         the software that `.trust` named, as in the policy
file
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

if TYPE_CHECKING:
    from aoshell.attest.policy import Image
    from aoshell.home.folders import Settings
    from aoshell.nodes.values import Pin

LARGEST_PIN = 64 << 10  # bytes of the file of one attestation
LIFETIME = 24 * 3600  # seconds until a node must be attested again


@dataclass(frozen=True, slots=True)
class Passed:
    """An attestation that passed.

    Attributes:
        origin: URL of the node.
        address: of its key.
        measurement, evidence_id: in hexadecimal.
        image: the user's name for the software, "" if it has none.
        at: when it passed, seconds since the Unix epoch.
        until: when it ends; 0 if a later attestation did not pass.
    """

    origin: str
    address: str
    measurement: str
    evidence_id: str
    image: str
    at: int
    until: int

    def changes(self, address: str, measurement: str) -> tuple[str, ...]:
        """What differs now, for people."""
        values = {"key": (self.address, address), "measurement": (self.measurement, measurement)}
        return tuple(
            f"the {name} was {before} and is {now}"
            for name, (before, now) in values.items()
            if now and before != now
        )

    def pin(self) -> Pin | None:
        """The key that must sign answers; None once this has ended."""
        from aoshell.nodes.values import Pin

        return Pin(self.address, self.until) if self.until > time.time() else None


class AttestationPins:
    """Attestations that passed, by the URL of the node.

    Args:
        settings: whose state folder is used.
    """

    def __init__(self, settings: Settings) -> None:
        self._folder = settings.state / "attested"

    def get(self, origin: str) -> Passed | None:
        """The last attestation of a node, ended or not; None if there is none.

        Raises:
            AoError: stage "attest": the file cannot be read.
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
                f"{path}, which has the node's last attestation, cannot be read: {error}",
                stage="attest",
                hint="move it away; the next .attest then cannot notice a changed key or software",
            ) from error

    def put(self, passed: Passed) -> None:
        """Keeps one; it replaces the node's last one. Raises AoError, stage "attest"."""
        write_file(self._path(passed.origin), json.dumps(asdict(passed), indent=1).encode())

    def end(self, known: Passed | None) -> None:
        """Ends the last attestation of a node that did not pass now. Its key and software stay
        known."""
        if known and known.until:
            self.put(replace(known, until=0))

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
        """All images. Raises AoError, stage "policy": the file cannot be read."""
        from aoshell.attest.policy import LARGEST, load_policy

        try:
            return load_policy(files.read(self.path, LARGEST), str(self.path)).trusted
        except (FileNotFoundError, NotADirectoryError):
            return ()
        except OSError as error:
            why = error.strerror or str(error)
            raise AoError(f"{self.path} cannot be read: {why}", stage="policy") from error

    def put(self, image: Image) -> None:
        """Keeps an image; it replaces one of the same name. Raises AoError."""
        from aoshell.attest.policy import load_policy

        others = [one for one in self.images() if one.name != image.name]
        content = "\n".join(one.as_toml() for one in (*others, image)).encode()
        load_policy(content)  # raises before anything is written that could not be read again
        write_file(self.path, content)


def write_file(path: Path, content: bytes) -> None:
    """Writes a file as a whole, readable by the user only. Raises AoError, stage "attest"."""
    try:
        durable.make_folder(path.parent)
        durable.write(path, [content])
    except OSError as error:
        why = error.strerror or str(error)
        raise AoError(f"{path} cannot be written: {why}", stage="attest") from error
