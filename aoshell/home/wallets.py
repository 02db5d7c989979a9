"""Wallets: Arweave keys as files that only their owner can read."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from aoshell import durable
from aoshell.bounded import files
from aoshell.errors import AoError
from aoshell.home.folders import make_folder, reason_of
from aoshell.protocol.wallet import Wallet
from aoshell.texts import strip_mark

LARGEST_WALLET = 64 * 1024  # bytes


def load_wallet(path: Path) -> Wallet:
    """The wallet in a file.

    Raises:
        AoError: stage "wallet", when the file is missing or unreadable, or holds no Arweave JWK.
    """
    from aoshell.bounded import jsontext

    content = _read(path)
    try:
        value = jsontext.parse(strip_mark(content, f"the wallet {path}", "wallet"))
    except ValueError:
        raise AoError(
            f"the wallet {path} is not valid JSON",
            stage="wallet",
            hint="restore it from a copy, or move it away; it is left as it is",
        ) from None
    try:
        return Wallet.from_jwk(value)
    except AoError as error:
        raise AoError(f"{path}: {error.what}", stage=error.stage, hint=error.hint) from None


def ensure_wallet(path: Path) -> Wallet:
    """The wallet in a file, made on first use. A file that exists is never overwritten.

    Generating takes up to a few seconds, in which other threads run. Of two that race to make
    the file one wins, and both return its wallet.

    Raises:
        AoError: stage "wallet" as in `load_wallet()`, or "home" when it cannot be written.
    """
    if not os.path.lexists(path):
        make_folder(path.parent)
        _write_once(path, Wallet.generate())
    return load_wallet(path)


def _read(path: Path) -> bytes:
    try:
        return files.read(path, LARGEST_WALLET)
    except files.UnfitFileError as error:
        raise AoError(
            f"the wallet {path} {error}",
            stage="wallet",
            hint="a wallet is an Arweave key as a JSON file of about 3 KB",
        ) from None
    except FileNotFoundError:
        raise AoError(
            f"there is no wallet at {path}",
            stage="wallet",
            hint="look at the name after --wallet, or leave it out to have a wallet made",
        ) from None
    except OSError as error:
        raise AoError(
            f"the wallet {path} cannot be read: {reason_of(error)}",
            stage="wallet",
            hint="look at who may read the file, and its folder",
        ) from error


def _write_once(path: Path, wallet: Wallet) -> None:
    """Write a whole wallet to `path`, or leave the one that is there by now."""
    import json

    try:
        with suppress(FileExistsError):
            durable.write(path, [json.dumps(wallet.jwk()).encode()], new=True)
    except OSError as error:
        raise AoError(
            f"the wallet {path} cannot be written: {reason_of(error)}",
            stage="home",
            hint="free some space or set AOSHELL_HOME to a folder on another disk",
        ) from error
