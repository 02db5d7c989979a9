"""Checks of what the report says against what the policy asks."""

from __future__ import annotations

from collections.abc import Mapping

from aoshell.attest.checks.frame import Case, check
from aoshell.attest.errors import EvidenceError, SkippedCheckError
from aoshell.attest.policy import Bits
from aoshell.attest.report import GUEST_BITS, PLATFORM_BITS, bit_names, unknown_bits


@check(21, "tcb-order", "TCB_ORDER", core=True)
def tcb_order(case: Case) -> str:
    """Firmware that runs is never older than what it reports, what it has committed to, or what a
    guest was launched on. Nobody but broken firmware could say otherwise."""
    current = case.report.tcb["current"].parts
    for name in ("reported", "committed", "launch"):
        parts = case.report.tcb[name].parts
        if later := [part for part in parts if parts[part] > current[part]]:
            what = f"the {name} TCB is above the current one in {', '.join(later)}"
            raise EvidenceError("TCB_ORDER", what)
    return str(case.report.tcb["current"])


@check(22, "provisional-firmware", "PROVISIONAL_FIRMWARE")
def provisional_firmware(case: Case) -> str:
    """Firmware that its host has not committed to can be rolled back to the committed one, so only
    that counts. Unless permitted, both must be the same."""
    report = case.report
    current, committed = report.tcb["current"], report.tcb["committed"]
    if current == committed and report.current == report.committed:
        return f"firmware {report.current} is committed"
    if case.policy.provisional_firmware:
        raise SkippedCheckError("the firmware can be rolled back, which the policy permits")
    what = f"the firmware can be rolled back: {report.committed} ({committed}) is committed, "
    raise EvidenceError(
        "PROVISIONAL_FIRMWARE",
        f"{what}{report.current} ({current}) runs",
        "provisional_firmware = true in the policy permits it",
    )


@check(23, "minimum-tcb", "TCB_BELOW_MINIMUM LAUNCH_TCB_BELOW_MINIMUM")
def minimum_tcb(case: Case) -> str:
    """Old firmware has known holes. The policy sets a floor for each product and component: for the
    reported TCB, which the signing key depends on, and for that at the guest's launch."""
    if case.product is None:
        raise SkippedCheckError("the product is not known")
    name = case.product.name
    floor = case.policy.minimum_tcb.get(name)
    launch_floor = case.policy.minimum_launch_tcb.get(name, floor)
    if floor is None and launch_floor is None:
        raise SkippedCheckError(f"no floor is set for {name}")
    if below := case.report.tcb["reported"].below(floor or {}):
        raise EvidenceError("TCB_BELOW_MINIMUM", f"the firmware is too old: {', '.join(below)}")
    if below := case.report.tcb["launch"].below(launch_floor or {}):
        what = f"the guest was launched on firmware that is too old: {', '.join(below)}"
        raise EvidenceError("LAUNCH_TCB_BELOW_MINIMUM", what)
    return str(case.report.tcb["reported"])


@check(24, "minimum-firmware", "FIRMWARE_BELOW_MINIMUM")
def minimum_firmware(case: Case) -> str:
    """The committed version of the firmware is not below the policy's floor."""
    floor = case.policy.minimum_firmware
    if floor is None:
        raise SkippedCheckError("no floor is set")
    if case.report.committed < floor:
        what = f"firmware {case.report.committed} is committed, below {floor}"
        raise EvidenceError("FIRMWARE_BELOW_MINIMUM", what)
    return str(case.report.committed)


@check(25, "mitigations", "MITIGATION_MISSING")
def mitigations(case: Case) -> str:
    """From version 5 on reports say which holes of the processor are closed, now and at launch."""
    report, wanted = case.report, case.policy.mitigations
    if not wanted:
        raise SkippedCheckError("the policy asks for none")
    missing = wanted & ~(report.launch_mitigations & report.current_mitigations)
    if missing:
        why = "" if report.version >= 5 else f": a report of version {report.version} names none"
        raise EvidenceError("MITIGATION_MISSING", f"mitigations {missing:#x} are missing{why}")
    return hex(wanted)


@check(26, "debug", "POLICY_DEBUG_ENABLED")
def debug(case: Case) -> str:
    """With debugging allowed a host can read and change all of the guest's memory."""
    if not case.report.allows("debug"):
        return "off"
    if case.policy.debug:
        raise SkippedCheckError("on, which the policy permits")
    raise EvidenceError("POLICY_DEBUG_ENABLED", "the host may look into the guest and change it")


@check(27, "migration", "POLICY_MIGRATE_MA")
def migration(case: Case) -> str:
    """A migration agent can move the guest, key and all, to where it pleases."""
    agent = case.report.report_id_ma
    if not case.report.allows("migration") and agent == b"\xff" * 32:
        return "no agent"
    if case.policy.migration:
        raise SkippedCheckError("the guest can be moved by an agent, which the policy permits")
    raise EvidenceError("POLICY_MIGRATE_MA", "an agent may move the guest to another machine")


@check(
    28,
    "guest-policy",
    "POLICY_ABI "
    + " ".join(
        f"POLICY_{name.upper().replace('-', '_')}"
        for name in GUEST_BITS
        if name not in ("debug", "migration")
    ),
)
def guest_policy(case: Case) -> str:
    """What the guest allows its host, and demands of it, is as the policy wants it; so is the least
    version of the firmware's interface that it runs on."""
    policy = case.report.policy
    if wrong := _wrong(policy, GUEST_BITS, case.policy.guest):
        name, why = wrong
        what = f"the guest's policy {'lacks' if why == 'required' else 'allows'} {name}"
        raise EvidenceError(f"POLICY_{name.upper().replace('-', '_')}", what)
    abi = (policy >> 8 & 0xFF, policy & 0xFF)
    if case.policy.minimum_abi and abi < case.policy.minimum_abi:
        what = "the guest runs on firmware of the interface {}.{}".format(*abi)
        raise EvidenceError("POLICY_ABI", what)
    return ", ".join(bit_names(policy, GUEST_BITS)) or "none"


@check(29, "platform", "PLATFORM_INFO")
def platform(case: Case) -> str:
    """What the host says of itself: SMT, encrypted memory, ECC… Bits that are not known here are
    shown; genuine reports have some."""
    bits = case.report.platform
    if wrong := _wrong(bits, PLATFORM_BITS, case.policy.platform):
        name, why = wrong
        what = f"the platform {'is without' if why == 'required' else 'has'} {name}"
        raise EvidenceError("PLATFORM_INFO", what)
    unknown = unknown_bits(bits, PLATFORM_BITS)
    warning = f"; unknown bits {', '.join(map(str, unknown))}" if unknown else ""
    return (", ".join(bit_names(bits, PLATFORM_BITS)) or "none") + warning


def _wrong(bits: int, names: Mapping[str, int], wanted: Bits) -> tuple[str, str] | None:
    """The first bit that is not as wanted, and "required" or "refused"."""
    present = bit_names(bits, names)
    for name in wanted.required:
        if name not in present:
            return name, "required"
    for name in wanted.refused:
        if name in present:
            return name, "refused"
    return None


@check(30, "vmpl", "VMPL")
def vmpl(case: Case) -> str:
    """At which privilege level the report was asked for, 0 being the highest. Software of a lower
    level must not speak for the guest. HyperBEAM's reports come from level 1."""
    level, highest = case.report.vmpl, case.policy.vmpl
    if level > highest:
        raise EvidenceError("VMPL", f"a report from level {level}, up to {highest} is allowed")
    return f"level {level}"


@check(
    35,
    "guest-identity",
    "HOST_DATA_MISMATCH FAMILY_ID_MISMATCH IMAGE_ID_MISMATCH REPORT_ID_MISMATCH "
    "GUEST_SVN_BELOW_MINIMUM",
)
def guest_identity(case: Case) -> str:
    """Values that host or owner gave to the guest at launch are those that the policy names."""
    named = [
        name
        for name in ("host_data", "family_id", "image_id", "report_id")
        if getattr(case.policy, name)
    ]
    for name in named:
        found = getattr(case.report, name)
        if found != getattr(case.policy, name):
            raise EvidenceError(f"{name.upper()}_MISMATCH", f"{name} is {found.hex()}")
    least = case.policy.minimum_guest_svn
    if case.report.guest_svn < least:
        what = f"the guest's own version is {case.report.guest_svn}, below {least}"
        raise EvidenceError("GUEST_SVN_BELOW_MINIMUM", what)
    if not named and not least:
        raise SkippedCheckError("the policy names none")
    return ", ".join([*named, *(["guest_svn"] if least else [])])


@check(36, "id-block", "ID_KEY_UNTRUSTED")
def id_block(case: Case) -> str:
    """An owner can sign which guests may be launched. Where the policy names keys of owners, one of
    them must have."""
    report, policy = case.report, case.policy
    if not policy.id_keys and not policy.author_keys:
        raise SkippedCheckError("the policy names no keys")
    if policy.id_keys and report.id_key_digest not in policy.id_keys:
        raise EvidenceError("ID_KEY_UNTRUSTED", f"id key {report.id_key_digest.hex()}")
    has_author = report.key_info & 1 and report.author_key_digest in policy.author_keys
    if policy.author_keys and not has_author:
        what = f"author key {report.author_key_digest.hex() if report.key_info & 1 else 'none'}"
        raise EvidenceError("ID_KEY_UNTRUSTED", what)
    return "signed by an owner that the policy names"
