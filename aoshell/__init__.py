"""aoshell: an interactive shell for building, running and verifying AO processes.

`aoshell.open` and `aoshell.testing` are the Python API (docs/testing.md).
"""

__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    # Imported when asked for: a start of the shell pays for nothing that it does not use.
    if name == "open":
        from importlib import import_module

        return import_module(f"{__name__}.api").open
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
