"""Checks of the report's fields against the policy."""

from __future__ import annotations

from collections.abc import Mapping

from aoshell.attest.checks.frame import Case, check
from aoshell.attest.errors import EvidenceError, SkippedCheckError
from aoshell.attest.policy import Bits
from aoshell.attest.report import GUEST_BITS, PLATFORM_BITS, bit_names, unknown_bits


@check(21, "tcb-order", "TCB_ORDER", core=True)
def tcb_order(case: Case) -> str:
    """The current TCB is not older than the reported one, the committed one, or the one at launch,
    in any component. Only broken firmware would report that."""
    # AMD 56860 section 2.2. Compared by component: a TCB as a whole has no order.
    current = case.report.tcb["current"].parts
    for name in ("reported", "committed", "launch"):
        parts = case.report.tcb[name].parts
        if later := [part for part in parts if parts[part] > current[part]]:
            what = f"the {name} TCB is newer than the current one in {', '.join(later)}"
            raise EvidenceError("TCB_ORDER", what)
    return str(case.report.tcb["current"])


@check(22, "provisional-firmware", "PROVISIONAL_FIRMWARE")
def provisional_firmware(case: Case) -> str:
    """A host can roll firmware back to the committed version (AMD 56860, SNP_COMMIT), so only the
    committed one can be relied on. Unless the policy permits otherwise, it must be the one that
    runs."""
    report = case.report
    current, committed = report.tcb["current"], report.tcb["committed"]
    if current == committed and report.current == report.committed:
        return f"firmware {report.current} is committed"
    if case.policy.provisional_firmware:
        raise SkippedCheckError("the firmware can be rolled back, which the policy permits")
    what = f"the host can roll the firmware back: {report.committed} ({committed}) is committed, "
    raise EvidenceError(
        "PROVISIONAL_FIRMWARE",
        f"{what}{report.current} ({current}) runs",
        "provisional_firmware = true in the policy permits it",
    )


@check(23, "minimum-tcb", "TCB_BELOW_MINIMUM LAUNCH_TCB_BELOW_MINIMUM")
def minimum_tcb(case: Case) -> str:
    """Old firmware has known weaknesses. The policy sets a minimum for each product and component:
    for the reported TCB, on which the signing key depends, and for the TCB at the guest's
    launch."""
    # The reported TCB, not the current one: it alone is proven, by the certificate
    # (certificate-tcb).
    if case.product is None:
        raise SkippedCheckError("the product is unknown")
    name = case.product.name
    floor = case.policy.minimum_tcb.get(name)
    launch_floor = case.policy.minimum_launch_tcb.get(name, floor)
    if floor is None and launch_floor is None:
        raise SkippedCheckError(f"the policy sets no minimum for {name}")
    if below := case.report.tcb["reported"].below(floor or {}):
        raise EvidenceError(
            "TCB_BELOW_MINIMUM", f"the firmware is below the minimum: {', '.join(below)}"
        )
    if below := case.report.tcb["launch"].below(launch_floor or {}):
        what = f"the guest was launched on firmware below the minimum: {', '.join(below)}"
        raise EvidenceError("LAUNCH_TCB_BELOW_MINIMUM", what)
    return str(case.report.tcb["reported"])


@check(24, "minimum-firmware", "FIRMWARE_BELOW_MINIMUM")
def minimum_firmware(case: Case) -> str:
    """The committed version of the firmware is not below the policy's minimum."""
    # Committed, not current: the host can roll back to it (see provisional-firmware).
    floor = case.policy.minimum_firmware
    if floor is None:
        raise SkippedCheckError("the policy sets no minimum")
    if case.report.committed < floor:
        what = f"the committed firmware is {case.report.committed}, below the minimum {floor}"
        raise EvidenceError("FIRMWARE_BELOW_MINIMUM", what)
    return str(case.report.committed)


@check(25, "mitigations", "MITIGATION_MISSING")
def mitigations(case: Case) -> str:
    """The processor has the mitigations that the policy asks for, now and at launch. Reports say so
    from version 5 on."""
    report, wanted = case.report, case.policy.mitigations
    if not wanted:
        raise SkippedCheckError("the policy asks for none")
    missing = wanted & ~(report.launch_mitigations & report.current_mitigations)
    if missing:
        why = "" if report.version >= 5 else f"; reports of version {report.version} name none"
        raise EvidenceError("MITIGATION_MISSING", f"mitigations {missing:#x} are missing{why}")
    return hex(wanted)


@check(26, "debug", "POLICY_DEBUG_ENABLED")
def debug(case: Case) -> str:
    """If debugging is allowed, the host can read and change all of the guest's memory."""
    if not case.report.allows("debug"):
        return "off"
    if case.policy.debug:
        raise SkippedCheckError("on, which the policy permits")
    raise EvidenceError(
        "POLICY_DEBUG_ENABLED", "debugging is allowed: the host can read and change the guest"
    )


@check(27, "migration", "POLICY_MIGRATE_MA")
def migration(case: Case) -> str:
    """A migration agent can move the guest, with its key, to another machine."""
    agent = case.report.report_id_ma
    if not case.report.allows("migration") and agent == b"\xff" * 32:
        return "no agent"
    if case.policy.migration:
        raise SkippedCheckError("an agent may move the guest, which the policy permits")
    raise EvidenceError("POLICY_MIGRATE_MA", "a migration agent may move the guest elsewhere")


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
    """What the guest allows its host and demands of it is as the policy wants it. So is the lowest
    version of the firmware interface on which the guest agrees to run."""
    policy = case.report.policy
    if wrong := _wrong(policy, GUEST_BITS, case.policy.guest):
        name, why = wrong
        what = f"the guest policy {'lacks' if why == 'required' else 'has'} {name}"
        raise EvidenceError(f"POLICY_{name.upper().replace('-', '_')}", what)
    abi = (policy >> 8 & 0xFF, policy & 0xFF)
    if case.policy.minimum_abi and abi < case.policy.minimum_abi:
        what = "the guest agrees to run on the old firmware interface {}.{}".format(*abi)
        raise EvidenceError("POLICY_ABI", what)
    return ", ".join(bit_names(policy, GUEST_BITS)) or "none"


@check(29, "platform", "PLATFORM_INFO")
def platform(case: Case) -> str:
    """Properties of the host as the policy wants them: SMT, encrypted memory, ECC… Unknown bits are
    shown and not refused, as genuine reports have some."""
    bits = case.report.platform
    if wrong := _wrong(bits, PLATFORM_BITS, case.policy.platform):
        name, why = wrong
        what = f"the platform {'lacks' if why == 'required' else 'has'} {name}"
        raise EvidenceError("PLATFORM_INFO", what)
    unknown = unknown_bits(bits, PLATFORM_BITS)
    warning = f"; unknown bits {', '.join(map(str, unknown))}" if unknown else ""
    return (", ".join(bit_names(bits, PLATFORM_BITS)) or "none") + warning


def _wrong(bits: int, names: Mapping[str, int], wanted: Bits) -> tuple[str, str] | None:
    """The first bit that is not as wanted, with "required" or "refused"; None if there is none."""
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
    """The report was requested from a privilege level (VMPL) that the policy allows. 0 has the most
    privilege; software with less must not speak for the guest. HyperBEAM's reports come from 1."""
    level, highest = case.report.vmpl, case.policy.vmpl
    if level > highest:
        raise EvidenceError("VMPL", f"the report is from level {level}, above {highest}")
    return f"level {level}"


@check(
    35,
    "guest-identity",
    "HOST_DATA_MISMATCH FAMILY_ID_MISMATCH IMAGE_ID_MISMATCH REPORT_ID_MISMATCH "
    "GUEST_SVN_BELOW_MINIMUM",
)
def guest_identity(case: Case) -> str:
    """Values that the host or the owner gave the guest at launch are those of the policy."""
    named = [
        name
        for name in ("host_data", "family_id", "image_id", "report_id")
        if getattr(case.policy, name)
    ]
    for name in named:
        found = getattr(case.report, name)
        if found != getattr(case.policy, name):
            raise EvidenceError(f"{name.upper()}_MISMATCH", f"the report's {name} is {found.hex()}")
    least = case.policy.minimum_guest_svn
    if case.report.guest_svn < least:
        what = f"the guest's version is {case.report.guest_svn}, below the minimum {least}"
        raise EvidenceError("GUEST_SVN_BELOW_MINIMUM", what)
    if not named and not least:
        raise SkippedCheckError("the policy names none")
    return ", ".join([*named, *(["guest_svn"] if least else [])])


@check(36, "id-block", "ID_KEY_UNTRUSTED")
def id_block(case: Case) -> str:
    """An owner can sign which guests may be launched (AMD 56860, ID block). If the policy names
    keys of owners, one of them must have signed."""
    report, policy = case.report, case.policy
    if not policy.id_keys and not policy.author_keys:
        raise SkippedCheckError("the policy names no keys")
    if policy.id_keys and report.id_key_digest not in policy.id_keys:
        raise EvidenceError(
            "ID_KEY_UNTRUSTED", f"the policy does not name the id key {report.id_key_digest.hex()}"
        )
    # Bit 0 (AUTHOR_KEY_EN): without it the digest is not that of a key that signed.
    has_author = report.key_info & 1 and report.author_key_digest in policy.author_keys
    if policy.author_keys and not has_author:
        key = report.author_key_digest.hex() if report.key_info & 1 else ""
        what = f"the policy does not name the author key {key}" if key else "there is no author key"
        raise EvidenceError("ID_KEY_UNTRUSTED", what)
    return "signed by an owner that the policy names"
