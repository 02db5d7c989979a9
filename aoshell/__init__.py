"""aoshell: an interactive shell for building, running and verifying AO processes.

`aoshell.open` and `aoshell.testing` are the Python API (docs/testing.md).
"""

TYPE_CHECKING = False  # that of `typing` would be imported before Ctrl-C is handled (`entry`)

if TYPE_CHECKING:
    from aoshell import testing as testing
    from aoshell.api import AoSession as AoSession
    from aoshell.api import open as open

__version__ = "0.1.0"

# Imported on first use: a start of the shell does not pay for what it does not use. No __all__, as
# `import *` would then hide Python's `open`.
_LATER = ("AoSession", "open", "testing")


def __getattr__(name: str) -> object:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    if name == "testing":
        return import_module(f"{__name__}.testing")
    return getattr(import_module(f"{__name__}.api"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATER})
