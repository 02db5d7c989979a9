"""`python -m aoshell`: the same as the command `aoshell`."""

from __future__ import annotations

from aoshell.entry import main

if __name__ == "__main__":
    main()
