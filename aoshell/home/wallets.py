"""Wallets: Arweave keys as files that only their owner can read."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from aoshell import durable
from aoshell.bounded import files
from aoshell.errors import AoError
from aoshell.home.folders import make_folder
from aoshell.protocol.wallet import Wallet
from aoshell.texts import strip_mark

WALLET = "the wallet"
LARGEST_WALLET = 64 * 1024  # bytes


def load_wallet(path: Path, called: str = WALLET) -> Wallet:
    """The wallet in a file.

    Args:
        called: what errors call it.

    Raises:
        AoError: stage "wallet": the file is missing, cannot be read, or holds no Arweave JWK.
    """
    from aoshell.bounded import jsontext

    content = _read(path, called)
    try:
        value = jsontext.parse(strip_mark(content, f"{called} {path}", "wallet"))
    except ValueError:
        raise AoError(
            f"{called} {files.shown(path)} is not valid JSON",
            stage="wallet",
            hint="restore it from a copy, or move it away; it was not changed",
        ) from None
    try:
        return Wallet.from_jwk(value)
    except AoError as error:
        raise AoError(f"{path}: {error.what}", stage=error.stage, hint=error.hint) from None


def ensure_wallet(path: Path, called: str = WALLET) -> Wallet:
    """The wallet in a file, made on first use. Never overwrites an existing file.

    Making a key takes up to a few seconds; other threads run meanwhile. If two processes make the
    file at once, both return the wallet of the first.

    Args:
        called: what errors call it. Raises: AoError: stage "wallet" as in `load_wallet()`, or
            "home": it cannot be written.
    """
    if not os.path.lexists(path):
        make_folder(path.parent)
        _write_once(path, Wallet.generate(), called)
    return load_wallet(path, called)


def _read(path: Path, called: str) -> bytes:
    try:
        return files.read(path, LARGEST_WALLET)
    except files.UnfitFileError as error:
        raise AoError(
            f"{called} {files.shown(path)} {error}",
            stage="wallet",
            hint="it is an Arweave key as a JSON file of about 3 KB",
        ) from None
    except FileNotFoundError:
        raise AoError(
            f"there is no wallet at {files.shown(path)}",
            stage="wallet",
            hint="check the path after --wallet; without --wallet one is made",
        ) from None
    except (OSError, ValueError) as error:
        raise AoError(
            f"{called} {files.shown(path)} cannot be read: {files.reason_of(error)}",
            stage="wallet",
            hint="check the permissions of the file and its folder",
        ) from error


def _write_once(path: Path, wallet: Wallet, called: str) -> None:
    """Write a wallet to `path`, unless another process has made one by now."""
    import json

    try:
        with suppress(FileExistsError):
            durable.write(path, [json.dumps(wallet.jwk()).encode()], new=True)
    except OSError as error:
        raise AoError(
            f"{called} {files.shown(path)} cannot be written: {files.reason_of(error)}",
            stage="home",
            hint="free some space or set AOSHELL_HOME to a folder on another disk",
        ) from error
