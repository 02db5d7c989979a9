"""Every fault of a node's answer, as a switch of the simulated node, and the error it must give."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable
from typing import Any

from attest_node import HASHES, Message, SimulatedNode, Wire
from cryptography.hazmat.primitives.asymmetric import rsa

from aoshell.protocol import signing
from aoshell.protocol.commitment import EDGE, write_commitments
from aoshell.protocol.digest import content_digest
from aoshell.protocol.encoding import b64url
from aoshell.protocol.structured import to_tabm
from aoshell.protocol.wallet import Wallet

Change = Callable[[SimulatedNode, Wallet], SimulatedNode]


def message(**values: Any) -> Change:
    """Other values in the answer, signed by the node."""
    return lambda node, _: node.but(message=lambda m, _node: m | values)


def without(name: str) -> Change:
    return lambda node, _: node.but(
        message=lambda m, _node: {key: value for key, value in m.items() if key != name}
    )


def hashes(**values: Any) -> Change:
    """Other local-hashes in the answer than those that were measured."""
    return lambda node, _: node.but(
        message=lambda m, _node: m | {"local-hashes": m["local-hashes"] | values}
    )


def report(**values: Any) -> Change:
    return lambda node, _: node.but(report_values=values)


def headers(change: Callable[[dict[str, str], Any], dict[str, str]]) -> Change:
    """Other headers after signing."""

    def disturb(wire: Wire, node: Any) -> Wire:
        return list(change(dict(wire[0]), node).items()), wire[1]

    return lambda node, _: node.but(wire=disturb)


def replaced(name: str, old: str, new: str) -> Change:
    def change(fields: dict[str, str], _node: Any) -> dict[str, str]:
        assert re.search(old, fields[name])
        return fields | {name: re.sub(old, new, fields[name])}

    return headers(change)


def raw(change: Callable[[Wire], Wire]) -> Change:
    return lambda node, _: node.but(wire=lambda wire, _node: change(wire))


def same_digest(change: Callable[[bytes], bytes]) -> Change:
    """Another body, with the digest that it should have."""

    def disturb(wire: Wire) -> Wire:
        body = change(wire[1])
        assert body != wire[1]
        return list((dict(wire[0]) | {"content-digest": content_digest(body)}).items()), body

    return raw(disturb)


def someone_elses_report(node: SimulatedNode, attacker: Wallet) -> SimulatedNode:
    """A genuine report of a trusted image, in the answer of a node with another key."""
    genuine = node.generated["report"]
    return SimulatedNode(attacker, node.line, message=lambda m, _node: m | {"report": genuine})


def members(fields: dict[str, str], name: str) -> list[str]:
    """The members of a signature field: the HMAC's and the RSA key's."""
    return re.split(r", (?=(?:sig|comm)-)", fields[name])


def is_hmac(fields: dict[str, str]) -> list[bool]:
    labels = {
        one.partition("=(")[0] for one in members(fields, "signature-input") if "hmac-sha256" in one
    }
    return [one.partition("=:")[0] in labels for one in members(fields, "signature")]


def only_hmac(fields: dict[str, str], _node: Any) -> dict[str, str]:
    kept = is_hmac(fields)
    return fields | {
        name: ", ".join(one for one, keep in zip(members(fields, name), kept, strict=True) if keep)
        for name in ("signature", "signature-input")
    }


def secret_hmac(fields: dict[str, str], node: SimulatedNode) -> dict[str, str]:
    """An HMAC under a key that names the node's address."""
    keyid = f"secret:{node.wallet.address}"
    mac = hmac.digest(keyid.encode(), b"anything", hashlib.sha256)
    label = "comm-" + b64url(hashlib.sha256(mac).digest()).lower()
    import base64

    value = base64.b64encode(mac).decode()
    return fields | {
        "signature": f"{label}=:{value}:",
        "signature-input": f'{label}=("address" "report");alg="hmac-sha256";keyid="{keyid}"',
    }


def besides(algorithm: str, keyid: str) -> Change:
    """A good signature, and one more."""

    def change(fields: dict[str, str], _node: Any) -> dict[str, str]:
        label = "sig-" + "x" * 43
        return fields | {
            "signature": f"{fields['signature']}, {label}=:{'A' * 43}=:",
            "signature-input": f'{fields["signature-input"]}, {label}=("address");'
            f'alg="{algorithm}";keyid="{keyid}"',
        }

    return headers(change)


def small_key(node: SimulatedNode, _attacker: Wallet) -> SimulatedNode:
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_numbers()
    public = private.public_numbers
    wallet = Wallet(
        {
            "n": public.n,
            "e": public.e,
            "d": private.d,
            "p": private.p,
            "q": private.q,
            "dp": private.dmp1,
            "dq": private.dmq1,
            "qi": private.iqmp,
        }
    )
    return SimulatedNode(wallet, node.line)


def two_signers(node: SimulatedNode, attacker: Wallet) -> SimulatedNode:
    def disturb(wire: Wire, own: SimulatedNode) -> Wire:
        other = dict(own.but(signer=attacker).sign(own.generated)[0])
        fields = dict(wire[0])
        for name in ("signature", "signature-input"):
            added = [
                one
                for one, mac in zip(members(other, name), is_hmac(other), strict=True)
                if not mac
            ]
            fields[name] += ", " + added[0]
        return list(fields.items()), wire[1]

    return node.but(wire=disturb)


def signed_in_part(*left_out: str, bundle: bool = True) -> Change:
    """Some keys come along, but are not signed."""

    def disturb(_wire: Wire, node: SimulatedNode) -> Wire:
        whole: Message = node.generated
        kept = {key: value for key, value in whole.items() if key not in left_out}
        signed = signing.commit(node.wallet, to_tabm(kept), bundle=bundle)
        fields, body = signing.sign(node.wallet, whole, bundle=bundle)
        return list((dict(fields) | write_commitments(signed)).items()), body

    return lambda node, _: node.but(wire=disturb, bundle=bundle)


def linked(name: str) -> Change:
    """A map that came as a link to it."""

    def disturb(_wire: Wire, node: SimulatedNode) -> Wire:
        return sign_linked(node, node.generated, name, signing.unsigned_id(node.generated[name]))

    return lambda node, _: node.but(wire=disturb)


def sign_linked(node: SimulatedNode, message: Message, name: str, id: str) -> Wire:
    """A message with a link in place of one of its values, signed by the node."""
    from aoshell.protocol import wire

    tabm = to_tabm(message)
    del tabm[name]
    tabm[f"{name}+link"] = id
    fields, body = wire.encode(tabm, EDGE)
    signed = signing.commit(node.wallet, tabm, bundle=True)
    return [*fields.items(), *write_commitments(signed).items()], body or b""


def part_twice(body: bytes) -> bytes:
    boundary, _, rest = body.partition(b"\r\n")
    part = rest.split(b"\r\n" + boundary, 1)[0]
    return boundary + b"\r\n" + part + b"\r\n" + body


FAULTS: dict[str, tuple[Change, str]] = {
    # whose report it is
    "someone else's report": (someone_elses_report, "REPORT_DATA_MISMATCH"),
    "someone else signs": (lambda n, a: n.but(signer=a), "ADDRESS_MISMATCH"),
    "someone else's address": (
        lambda n, a: n.but(message=lambda m, _n: m | {"address": a.address}),
        "ADDRESS_MISMATCH",
    ),
    "other nonce": (message(nonce=b64url(bytes(64))), "NONCE_FIELD_MISMATCH"),
    "no nonce": (message(nonce="?"), "NONCE_FIELD_MISMATCH"),
    "short nonce": (message(nonce=b64url(bytes(32))), "NONCE_FIELD_MISMATCH"),
    "other configuration": (
        lambda n, _: n.but(message=lambda m, n: m | {"node-message": n.node_message | {"x": 1}}),
        "NODE_MESSAGE_MISMATCH",
    ),
    "configuration as text": (message(**{"node-message": "x"}), "NODE_MESSAGE_UNBOUND"),
    "half a nonce": (
        lambda n, _: n.but(
            report_values={"report_data": n.report_data[:32] + bytes(32)},
            message=lambda m, n: m | {"nonce": b64url(n.report_data[:32] + bytes(32))},
        ),
        "NODE_MESSAGE_MISMATCH",
    ),
    # the report in it
    "debug": (report(policy=0xB0000), "POLICY_DEBUG_ENABLED"),
    "vmpl 2": (report(vmpl=2), "VMPL"),
    "keys of the answer in the report": (
        lambda n, _: n.but(
            text=lambda t, n: t[:-1] + b',"address":"%s"}' % n.wallet.address.encode()
        ),
        "JSON_UNKNOWN_KEY",
    ),
    "nonce in the report": (
        lambda n, _: n.but(text=lambda t, _n: t[:-1] + b',"nonce":"x"}'),
        "JSON_UNKNOWN_KEY",
    ),
    "report changed and signed": (
        lambda n, _: n.but(text=lambda t, _n: t.replace(b'"vmpl":1', b'"vmpl":0')),
        "REPORT_SIGNATURE",
    ),
    "no report": (without("report"), "JSON_MISSING_KEY"),
    "report as number": (message(report=5), "JSON_TYPE"),
    "empty report": (message(report=""), "JSON_SYNTAX"),
    # what was launched
    "other kernel": (hashes(kernel="ab" * 32), "MEASUREMENT_MISMATCH"),
    "more processors": (hashes(vcpus=5), "MEASUREMENT_MISMATCH"),
    "other firmware": (hashes(firmware="ab" * 48), "SOFTWARE_UNKNOWN"),
    "other hypervisor": (hashes(vmm_type=2), "SOFTWARE_UNKNOWN"),
    **{
        f"vcpu_type {number}": (hashes(vcpu_type=number), "LOCAL_HASHES")
        for number in (2, 15, -1, 10**9)
    },
    **{
        f"vcpus {number}": (hashes(vcpus=number), "LOCAL_HASHES")
        for number in (0, -1, 10**9, True, 1.5)
    },
    "two spellings": (hashes(**{"vcpu-type": 5}), "LOCAL_HASHES"),
    "odd digits": (hashes(kernel="abc"), "LOCAL_HASHES"),
    "short hash": (hashes(kernel="ab" * 31), "LOCAL_HASHES"),
    "long hash": (hashes(firmware="ab" * 64), "LOCAL_HASHES"),
    "hash as number": (hashes(append=5), "LOCAL_HASHES"),
    "unknown hash": (hashes(root="ab" * 32), "LOCAL_HASHES"),
    "hashes as text": (message(**{"local-hashes": "none"}), "LOCAL_HASHES"),
    "no hashes": (without("local-hashes"), "HTTPSIG_COVERAGE"),
    # what is signed
    "report not signed": (signed_in_part("report"), "HTTPSIG_COVERAGE"),
    "address not signed": (signed_in_part("address"), "HTTPSIG_COVERAGE"),
    "nonce not signed": (signed_in_part("nonce"), "HTTPSIG_COVERAGE"),
    "hashes not signed": (signed_in_part("local-hashes", bundle=False), "HTTPSIG_COVERAGE"),
    "body not signed": (
        signed_in_part("local-hashes", "node-message", bundle=False),
        "HTTPSIG_COVERAGE",
    ),
    "linked configuration": (linked("node-message"), "HTTPSIG_COVERAGE"),
    "linked hashes": (linked("local-hashes"), "HTTPSIG_COVERAGE"),
    # how it is signed
    "unsigned": (
        headers(lambda f, _: {k: v for k, v in f.items() if not k.startswith("signature")}),
        "HTTPSIG_KEY_SCHEME",
    ),
    "an HMAC only": (headers(only_hmac), "HTTPSIG_KEY_SCHEME"),
    "a secret HMAC": (headers(secret_hmac), "HTTPSIG_KEY_SCHEME"),
    "RSA-2048": (small_key, "HTTPSIG_KEY_SCHEME"),
    "other algorithm": (
        replaced("signature-input", "rsa-pss-sha512", "rsa-v1_5-sha256"),
        "HTTPSIG_KEY_SCHEME",
    ),
    "no algorithm": (replaced("signature-input", ';alg="rsa-pss-sha512"', ""), "HTTPSIG_INVALID"),
    "other parameter": (
        replaced("signature-input", 'alg="rsa-pss-sha512"', 'alg="rsa-pss-sha512";tag="x"'),
        "HTTPSIG_INVALID",
    ),
    "unknown parameter": (
        replaced("signature-input", 'alg="rsa-pss-sha512"', 'alg="rsa-pss-sha512";x="x"'),
        "HTTPSIG_INVALID",
    ),
    "two signers": (two_signers, "HTTPSIG_INVALID"),
    "a secret HMAC besides": (besides("hmac-sha256", "secret:x"), "HTTPSIG_KEY_SCHEME"),
    "another algorithm besides": (besides("ecdsa-p256-sha256", "x"), "HTTPSIG_KEY_SCHEME"),
    "component twice": (
        replaced("signature-input", r'\("address"', '("address" "address"'),
        "HTTPSIG_INVALID",
    ),
    "component with parameters": (
        replaced("signature-input", '"address"', '"address";bs'),
        "HTTPSIG_INVALID",
    ),
    "one component less": (replaced("signature-input", '"nonce" ', ""), "HTTPSIG_INVALID"),
    "header missing": (
        headers(lambda f, _: {k: v for k, v in f.items() if k != "nonce"}),
        "HTTPSIG_INVALID",
    ),
    "header changed": (replaced("nonce", "^.", "~"), "HTTPSIG_INVALID"),
    "header twice": (
        raw(lambda w: ([*w[0], ("Address", dict(w[0])["address"])], w[1])),
        "HTTPSIG_INVALID",
    ),
    "folded header": (replaced("nonce", "^(..)", "\\1\r\n "), "HTTPSIG_INVALID"),
    "name with a space": (raw(lambda w: ([*w[0], ("a b", "c")], w[1])), "HTTPSIG_INVALID"),
    "label in one field only": (replaced("signature-input", "^sig-", "sig-x"), "HTTPSIG_INVALID"),
    "signature in tatters": (replaced("signature", "=:", "="), "HTTPSIG_INVALID"),
    "signature changed": (replaced("signature", "=:.", "=:A"), "HTTPSIG_INVALID"),
    # the body
    "body changed": (
        raw(lambda w: (w[0], w[1].replace(b"permanent", b"forgotten"))),
        "CONTENT_DIGEST",
    ),
    "body changed, and its digest": (
        same_digest(lambda b: b.replace(b"permanent", b"forgotten")),
        "HTTPSIG_INVALID",
    ),
    "no body": (raw(lambda w: (w[0], b"")), "CONTENT_DIGEST"),
    "SHA-512 only": (replaced("content-digest", ".+", f"sha-512=:{'A' * 86}==:"), "CONTENT_DIGEST"),
    "digest in tatters": (replaced("content-digest", ".+", "sha-256"), "CONTENT_DIGEST"),
    "no digest": (
        headers(lambda f, _: {k: v for k, v in f.items() if k != "content-digest"}),
        "HTTPSIG_INVALID",
    ),
    "part twice": (same_digest(part_twice), "HTTPSIG_INVALID"),
    "behind the last part": (same_digest(lambda b: b + b"\r\n--more"), "HTTPSIG_INVALID"),
    "a header again as part": (
        same_digest(lambda b: b.replace(b'name="local-hashes"', b'name="address"')),
        "HTTPSIG_INVALID",
    ),
    "other boundary": (replaced("content-type", "boundary=.+", "boundary=x"), "HTTPSIG_INVALID"),
    # its size
    "many headers": (
        raw(lambda w: ([*w[0], *((f"x-{n}", "") for n in range(300))], w[1])),
        "JSON_LIMIT",
    ),
    "large headers": (raw(lambda w: ([*w[0], ("x", "x" * (1 << 20))], w[1])), "JSON_LIMIT"),
    "large body": (raw(lambda w: (w[0], bytes(5 << 20))), "JSON_LIMIT"),
}

INCONCLUSIVE = ("SOFTWARE_UNKNOWN", "NODE_MESSAGE_UNBOUND")

ACCEPTED: dict[str, Change] = {
    "as it is": lambda node, _: node,
    "unbundled": lambda node, _: node.but(bundle=False),
    "version 3": lambda node, _: node.but(version=3),
    "upper case": hashes(kernel=HASHES["kernel"].upper()),
    "numbers as text": hashes(vcpus="4", vcpu_type="5"),
    "dashes": lambda node, _: node.but(
        message=lambda m, _n: (
            m | {"local-hashes": {k.replace("_", "-"): v for k, v in m["local-hashes"].items()}}
        )
    ),
    "hashes at the top": lambda node, _: node.but(
        message=lambda m, _n: (
            {k: v for k, v in m.items() if k != "local-hashes"} | m["local-hashes"]
        )
    ),
    "something unsigned besides": raw(lambda w: ([*w[0], ("x-cache", "miss")], w[1])),
    "a report too long for a header": lambda node, _: node.but(
        text=lambda t, _n: t.replace(b",", b",  ")
    ),
}
