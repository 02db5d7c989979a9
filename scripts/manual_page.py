"""Writes docs/aoshell.1 from the flags: `.venv/bin/python scripts/manual_page.py`.

tests/test_manual_page.py checks that it is up to date.
"""

from __future__ import annotations

import sys
from pathlib import Path

REPO = Path(__file__).resolve().parents[1]
PAGE = REPO / "docs" / "aoshell.1"

if __name__ == "__main__":
    sys.path.insert(0, str(REPO))
    from aoshell import __version__
    from aoshell.commandline.manual import manual
    from aoshell.commandline.table import forms

    PAGE.write_text(manual(forms(), __version__), encoding="utf-8")
