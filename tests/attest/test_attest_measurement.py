"""The launch measurement from local hashes."""

from __future__ import annotations

from typing import Any

import pytest
from attest_node import HASHES
from hypothesis import given, settings
from hypothesis import strategies as st

from aoshell.attest.errors import EvidenceError, InconclusiveError
from aoshell.attest.launch.local_hashes import LAYOUTS, OVMF_1_55, LocalHashes, compute_measurement

# Made with sev-snp-measure 0.0.13, sections and hashes fed in by hand: (vcpus, vcpu_type) and
# the beginning of the measurement of `HASHES` otherwise.
KNOWN: dict[tuple[int, int], str] = {
    (1, 5): "faacfbac7c90ebf6783116393ca9a6b3",
    (2, 0): "9a4a2099977889bb9ff98298d11c827c",
    (4, 5): "18e4c0bb356b1d224eb6461d2eddf80f",
    (4, 6): "e3b6a006f4f4ae68e31bad881445f7ff",
    (4, 10): "6ab4937c0588fe99a8083709b04b6c85",
    (4, 13): "27ca8939f6b713a1be36a4a3586b3dc3",
    (32, 14): "be87c05b3f7515b16922bc76efc4fbe6",
    (3, 12): "bd3d9fb9173441d204c80f2328fd48b9",
    (3, 9): "e651fe102d92068f97c6338e72a5c44d",
}


@pytest.mark.parametrize(("vcpus", "vcpu_type"), KNOWN)
def test_known_measurements(vcpus: int, vcpu_type: int) -> None:
    hashes = LocalHashes.read(HASHES | {"vcpus": vcpus, "vcpu_type": vcpu_type})
    assert compute_measurement(hashes).hex().startswith(KNOWN[vcpus, vcpu_type])


@pytest.mark.parametrize("name", ["kernel", "initrd", "append", "vcpus", "guest_features"])
def test_everything_counts(name: str) -> None:
    value: Any = HASHES[name]
    other = value + 1 if isinstance(value, int) else "00" + value[2:]
    assert compute_measurement(LocalHashes.read(HASHES | {name: other})) != compute_measurement(
        LocalHashes.read(HASHES)
    )


def test_unknown_firmware_and_hypervisors_are_not_guessed_at() -> None:
    for changed in ({"firmware": "00" * 48}, {"vmm_type": 2}, {"vmm_type": 3}):
        with pytest.raises(InconclusiveError) as raised:
            compute_measurement(LocalHashes.read(HASHES | changed))
        assert raised.value.error == "SOFTWARE_UNKNOWN"
        assert raised.value.hint


def test_sections_follow_each_other_without_overlap() -> None:
    for layout in (*LAYOUTS.values(), OVMF_1_55):
        ends = 0
        for _, address, size in layout.sections:
            assert address >= ends
            assert size % 0x1000 == 0
            ends = address + size


def test_as_json_is_what_was_read() -> None:
    assert LocalHashes.read(HASHES).as_json() == HASHES


@given(
    st.none()
    | st.lists(st.integers())
    | st.dictionaries(
        st.sampled_from([*HASHES, "vcpu-type", "x"]),
        st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.floats(),
    ).map(lambda changed: HASHES | changed)
)
@settings(deadline=None)
def test_anything(message: object) -> None:
    try:
        assert len(compute_measurement(LocalHashes.read(message))) == 48
    except EvidenceError as error:
        assert error.error in ("LOCAL_HASHES", "SOFTWARE_UNKNOWN")
