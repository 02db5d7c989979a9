"""Reads the Lua files beside the sandbox's own code.

Without `pathlib`: importing it would cost a zygote 5 ms at each start.
"""

from __future__ import annotations

import os

_HERE = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120 - see above


def path_of(*names: str) -> str:
    """The path of a file or folder below the sandbox's own."""
    return os.path.join(_HERE, *names)  # noqa: PTH118


def read_text(path: str) -> str:
    """A file as text: latin-1, one character a byte. Raises OSError."""
    with open(path, encoding="latin-1") as file:  # noqa: PTH123
        return file.read()
