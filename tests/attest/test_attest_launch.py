"""The launch measurement from firmware images: what they may look like, and what comes out."""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import ovmf_image
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from ovmf_image import AMD_SEV, CPUID, GOOD, HASHES, KERNEL, MEMORY, METADATA, RESET, SECRETS, Image

from aoshell.attest.launch import ovmf
from aoshell.attest.launch.local_hashes import OVMF_1_55
from aoshell.attest.launch.ovmf import Firmware, FirmwareError, read_firmware
from aoshell.attest.launch.pages import BootHashes
from aoshell.attest.launch.vmsa import MODELS, Processor

PAGE = 0x1000


def sha256(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()


def boot(kernel: bytes, initrd: bytes, append: str) -> BootHashes:
    return BootHashes(sha256(kernel), sha256(initrd), sha256(append.encode() + b"\0"))


def measurement(
    firmware: Firmware, vcpus: int, model: str, features: int, what: BootHashes | None
) -> str:
    measured = firmware.measure(what, Processor(MODELS[model], features))
    return next(islice(measured, vcpus - 1, None)).hex()


# --- what sev-snp-measure says

IMAGES = {
    "amd-sev": GOOD,
    "no hashes": Image(sections=ovmf_image.PLAIN, table=(0, 0)),
    "2 MB": GOOD.but(pages=512),
    "elsewhere": Image(
        sections=(
            (0x700000, 0x1000, CPUID),
            (0x701000, 0x1000, KERNEL),
            (0x100000, 0x20000, MEMORY),
            (0x600000, 0x1000, SECRETS),
        ),
        table=(0x701040, 0xB0),
        ap_eip=0x123456,
    ),
}
# recorded: made with sev-snp-measure 0.0.13, of the images above. published: with the tests of that
# package (tests/test_guest.py), of OVMF of edk2 stable202405. Those files stay there: the digest
# `firmware` stands for their pages, and their lists of sections are those of `image`.
VECTORS = json.loads((Path(__file__).parent / "launch.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("known", [*VECTORS["recorded"], *VECTORS["published"]])
def test_known_measurements(known: dict[str, Any]) -> None:
    firmware = read_firmware(IMAGES[known["image"]].bytes(), "OVMF.fd")
    if "firmware" in known:
        firmware = replace(firmware, digest=bytes.fromhex(known["firmware"]))
    booted = known["boot"] and boot(
        known["boot"]["kernel"].encode(), known["boot"]["initrd"].encode(), known["boot"]["append"]
    )
    found = measurement(firmware, known["vcpus"], known["model"], known["features"], booted)
    assert found == known["measurement"]


def test_the_layout_of_genuine_reports_is_read_as_it_is_known() -> None:
    sections = (*AMD_SEV[:4], (0x80F000, 0x1000, KERNEL), (0x810000, 0x10000, MEMORY))
    image = Image(sections=sections, table=(0x80FC00, 0x400))
    assert read_firmware(image.bytes(), "OVMF.fd").layout == OVMF_1_55


@st.composite
def layouts(draw: st.DrawFn) -> tuple[Sequence[tuple[int, int, int]], tuple[int, int]]:
    """Sections that do not overlap, in any order, and a place for hashes."""
    kinds = draw(st.permutations([KERNEL, SECRETS, CPUID, MEMORY, MEMORY, ovmf_image.SVSM]))
    at, sections, table = 0x100000, [], 0
    for kind in kinds:
        at += PAGE * draw(st.integers(0, 3))
        size = PAGE * (draw(st.integers(1, 4)) if kind == MEMORY else 1)
        sections.append((at, size, kind))
        if kind == KERNEL:
            table = at + draw(st.integers(0, PAGE - 176))
        at += size
    return draw(st.permutations(sections)), (table, 176)


@given(
    layouts(),
    st.integers(1, 4),
    st.integers(1, 5),
    st.sampled_from(["EPYC", "EPYC-Rome-v3", "EPYC-Milan", "EPYC-Genoa-v1", "EPYC-Turin"]),
    st.integers(0, (1 << 63) - 1).map(lambda number: number | 1),
    st.none() | st.tuples(st.binary(max_size=9), st.binary(max_size=9), st.just("a=b c")),
)
@settings(deadline=None, max_examples=60)
def test_sev_snp_measure_agrees(
    tmp_path_factory: pytest.TempPathFactory,
    layout: tuple[Sequence[tuple[int, int, int]], tuple[int, int]],
    pages: int,
    vcpus: int,
    model: str,
    features: int,
    files: tuple[bytes, bytes, str] | None,
) -> None:
    """Where that package is installed; it is none that the tests need."""
    guest = pytest.importorskip("sevsnpmeasure.guest")
    from sevsnpmeasure.sev_mode import SevMode
    from sevsnpmeasure.vcpu_types import CPU_SIGS

    folder = tmp_path_factory.mktemp("oracle")
    image = Image(pages=pages, sections=layout[0], table=layout[1]).bytes()
    named = {"firmware": image, **dict(zip(("kernel", "initrd"), files or (), strict=False))}
    for name, content in named.items():
        (folder / name).write_bytes(content)
    paths = [str(folder / name) if name in named else None for name in ("kernel", "initrd")]
    theirs = guest.calc_launch_digest(
        SevMode.SEV_SNP,
        vcpus,
        CPU_SIGS[model],
        str(folder / "firmware"),
        *paths,
        files[2] if files else None,
        features,
    )
    ours = measurement(
        read_firmware(image, "x"), vcpus, model, features, boot(*files) if files else None
    )
    assert ours == theirs.hex()
    assert {name: MODELS[name] for name in CPU_SIGS} == CPU_SIGS


# --- what is refused


def refusal(image: bytes) -> str:
    with pytest.raises(FirmwareError) as raised:
        read_firmware(image, "OVMF.fd")
    assert raised.value.stage == "attest" and raised.value.hint
    assert raised.value.what.startswith("OVMF.fd ")
    return raised.value.what


BAD = {
    "no list": (GOOD.but(blocks={METADATA: None}), "is OVMF without SEV-SNP"),
    "no reset block": (GOOD.but(blocks={RESET: None}), "is OVMF without SEV-SNP"),
    "no start of processors": (GOOD.but(ap_eip=0), "does not say where processors start"),
    "a long block": (GOOD.but(blocks={RESET: bytes(5)}), "with 5 bytes, not 4"),
    "a short block": (GOOD.but(blocks={HASHES: bytes(4)}), "with 4 bytes, not 8"),
    "a table beyond the file": (GOOD.but(size=0xFFFF), "larger than the file"),
    "a table without itself": (GOOD.but(size=17), "larger than the file, or than itself"),
    "a table of size 0": (GOOD.but(size=0), "larger than the file, or than itself"),
    "bytes of no block": (GOOD.but(more=bytes(17)), "bytes that belong to no block"),
    "a block of size 0": (GOOD.but(more=bytes(40)), "larger than its table, or than itself"),
    "two blocks": (
        GOOD.but(more=ovmf_image.block(RESET, bytes(4))),
        f"has the block {RESET} twice",
    ),
    "a list before the file": (
        GOOD.but(blocks={METADATA: struct.pack("<I", 2 * PAGE + 1)}),
        "points outside itself",
    ),
    "a list behind the file": (
        GOOD.but(blocks={METADATA: struct.pack("<I", 15)}),
        "points outside itself",
    ),
    "a list at 4 GB": (GOOD.but(blocks={METADATA: b"\xff" * 4}), "points outside itself"),
    "no magic": (GOOD.but(header=(b"ASEW", 100, 1, 7)), "something else than a list"),
    "version 2": (GOOD.but(header=(b"ASEV", 100, 2, 7)), "something else than a list"),
    "2^32 sections": (GOOD.but(header=(b"ASEV", 100, 1, (1 << 32) - 1)), "4294967295 sections"),
    "no section": (GOOD.but(header=(b"ASEV", 16, 1, 0)), "has 0 sections"),
    "a list of the wrong size": (GOOD.but(header=(b"ASEV", 99, 1, 7)), "says it has 99 bytes"),
    "a list that runs out": (GOOD.but(list_at=700, header=(b"ASEV", 784, 1, 64)), "has 784 bytes"),
    "an unknown type": (GOOD.but(sections=((0x1000, PAGE, 5),)), "the unknown type 5"),
    "an empty section": (GOOD.but(sections=((0x1000, 0, MEMORY),)), "no whole number of pages"),
    "half a page": (GOOD.but(sections=((0x1000, 0x800, MEMORY),)), "no whole number of pages"),
    "a crooked address": (GOOD.but(sections=((0x1001, PAGE, 1),)), "no whole number of pages"),
    "two pages of secrets": (GOOD.but(sections=((0, 0x2000, SECRETS),)), "more than one page"),
    "two pages of CPUID": (GOOD.but(sections=((0, 0x2000, CPUID),)), "more than one page"),
    "overlapping sections": (
        GOOD.but(sections=((0x3000, 0x3000, MEMORY), (0x1000, 0x2000, MEMORY), (0x5000, PAGE, 2))),
        "overlap at 0x5000",
    ),
    "the same section twice": (GOOD.but(sections=((0x3000, PAGE, 1),) * 2), "overlap at 0x3000"),
    "a section in the firmware": (
        GOOD.but(sections=((0xFFFFE000, PAGE, MEMORY),)),
        "where the firmware itself is",
    ),
    "a section beyond 4 GB": (
        GOOD.but(sections=((0xFFFFF000, 0x2000, MEMORY),)),
        "where the firmware itself is",
    ),
    "sections of 4 GB": (GOOD.but(sections=((0, 0xFFFFF000, MEMORY),)), "has sections of more"),
    "two places for hashes": (
        GOOD.but(sections=(*AMD_SEV, (0x900000, PAGE, KERNEL))),
        "has two sections for hashes",
    ),
    "hashes before their section": (GOOD.but(table=(0x80FFFF, 0x400)), "outside the section"),
    "hashes behind their section": (GOOD.but(table=(0x810F51, 0x400)), "outside the section"),
    "no room for hashes": (GOOD.but(table=(0x810C00, 175)), "outside the section"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_refused(name: str) -> None:
    image, why = BAD[name]
    assert why in refusal(image.bytes())


def test_refused_by_size() -> None:
    assert refusal(b"").endswith("is empty")
    assert "no whole number of pages" in refusal(GOOD.bytes()[:-1])
    assert "there is no table of OVMF at its end" in refusal(bytes(PAGE))
    assert f"more than {ovmf.LARGEST}" in refusal(bytes(ovmf.LARGEST + PAGE))


def test_a_kernel_needs_a_place_for_its_hashes() -> None:
    for image in (
        IMAGES["no hashes"],
        GOOD.but(blocks={HASHES: None}),
        GOOD.but(table=(0, 0)),
        GOOD.but(sections=ovmf_image.PLAIN),
    ):
        firmware = read_firmware(image.bytes(), "OVMF.fd")
        assert measurement(firmware, 1, "EPYC", 1, None)
        with pytest.raises(FirmwareError, match="takes no hashes of a kernel"):
            measurement(firmware, 1, "EPYC", 1, boot(b"", b"", ""))


def test_the_last_place_for_hashes_in_their_page() -> None:
    read_firmware(GOOD.but(table=(0x810F50, 176)).bytes(), "OVMF.fd")


@given(st.integers(0, 2 * PAGE))
@example(PAGE)
@settings(deadline=None)
def test_truncated(size: int) -> None:
    whole = GOOD.bytes()
    if size < len(whole):
        refusal(whole[:size])
    if 0 < size < PAGE:
        refusal(whole[-size:])


@given(
    st.lists(st.tuples(st.integers(2 * PAGE - 0x700, 2 * PAGE - 1), st.integers(0, 255))),
)
@settings(deadline=None, max_examples=300)
def test_anything_in_the_tables(changes: list[tuple[int, int]]) -> None:
    image = bytearray(GOOD.bytes())
    for at, value in changes:
        image[at] = value
    try:
        assert len(read_firmware(bytes(image), "OVMF.fd").digest) == 48
    except FirmwareError as error:
        assert error.what.startswith("OVMF.fd ")


@given(st.binary(min_size=1, max_size=PAGE))
@settings(deadline=None)
def test_anything(end: bytes) -> None:
    refusal(end.rjust(PAGE, b"\0"))


def test_each_byte_of_the_firmware_counts() -> None:
    good = read_firmware(GOOD.bytes(), "x").digest
    for at in (0, PAGE - 1, PAGE, 2 * PAGE - 1):
        image = bytearray(GOOD.bytes())
        image[at] ^= 1
        assert read_firmware(bytes(image), "x").digest != good


def test_images_of_this_system() -> None:
    """What a distribution has installed is read, or refused for what it lacks."""
    share = Path("/usr/share")
    found = [*share.glob("[oO][vV][mM][fF]/*.fd"), *share.glob("edk2*/**/*.fd")]
    if not found:
        pytest.skip("no OVMF is installed")
    for path in found:
        try:
            assert read_firmware(path.read_bytes(), path.name).layout.sections
        except FirmwareError as error:
            assert "OVMF" in error.what
