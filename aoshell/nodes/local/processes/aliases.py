"""Modules that clients name by an id of the network, and their replacements here.

aos has the ids of its modules in its package.json, and spawns only with these. If such a module was
neither fetched nor uploaded, the built-in environment, which answers as aos does, replaces it.
"""

from __future__ import annotations

from aoshell.protocol.message import Tag, tags_of

BUILT_IN = {
    "ISShJH1ij-hPPt9St5UFFr_8Ys3Kj5cyg7zrMGt7H9s": "aos",
    "ei1VSwheQnNIG87iqlwxiQk-sWY5ikj4DFBxcpFZ-S4": "aos with SQLite",
    "wal-fUK-YnB9Kp5mN8dgMsSqPSqiGx-0SvwFUSwpDBI": "aos for HyperBEAM",
}
"""Names of the modules of aos 2.0.16 by their ids. The environment has no SQLite."""

TAGS: tuple[Tag, ...] = tags_of(
    [
        ("Data-Protocol", "ao"),
        ("Variant", "ao.TN.1"),
        ("Type", "Module"),
        ("Module-Format", "wasm64-unknown-emscripten-draft_2024_02_15"),
        ("Input-Encoding", "JSON-V1"),
        ("Output-Encoding", "JSON-V1"),
        ("Memory-Limit", "1-gb"),
        ("Compute-Limit", "9000000000000"),
    ]
)
"""Tags that clients look for before they spawn from such a module."""
