"""The policy for answers by itself (`trust`, `binding`): what is taken, refused and shown."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from test_remote_key import VERIFYING

from aoshell.errors import AoError
from aoshell.nodes.remote.http.answer import Response
from aoshell.nodes.remote.hyperbeam import binding
from aoshell.nodes.remote.hyperbeam.binding import MESSAGE, PROCESS, SLOT, Asked, ContradictionError
from aoshell.nodes.remote.hyperbeam.trust import NotSignedError, Trust
from aoshell.nodes.values import Pin, Verify
from aoshell.protocol import httpsig, signing, wire
from aoshell.protocol.commitment import (
    EDGE,
    RSA,
    make_commitment,
    signature_base,
    write_commitments,
)
from aoshell.protocol.rebuild import unsigned
from aoshell.protocol.structured import to_tabm
from aoshell.protocol.tabm import Tabm
from aoshell.protocol.wallet import Wallet

OTHER = "o" * 43


def tagged(wallet: Wallet, output: str, tag: str) -> Response:
    """An answer with a hashpath beside its signature, signed anew each time."""
    tabm = to_tabm({"output": output})
    fields, _ = wire.encode(tabm)
    bare = replace(unsigned(tabm), alg=RSA, keyid=EDGE.keyid(wallet.owner), signature=b"")
    bare = replace(bare, committer=wallet.address, tag=tag)
    made = bare.signed(wallet.sign(signature_base(bare, fields), "sha512"))
    return Response("", 200, (*fields.items(), *write_commitments([made]).items()), b"")


@pytest.mark.parametrize("level", VERIFYING)
def test_a_hashpath_stands_for_one_request(wallet: Wallet, level: Verify) -> None:
    trust, _ = reader(wallet, level)
    path = f"{'b' * 43}/{'r' * 43}"
    first = Asked("p compute 1", {PROCESS: "p", SLOT: 1})
    second = Asked("p compute 2", {PROCESS: "p", SLOT: 2})
    for _ in range(2):
        assert trust.read(tagged(wallet, "2", path), "compute", first)["output"] == "2"
    with pytest.raises(AoError, match="it came before"):
        trust.read(tagged(wallet, "2", path), "compute", second)
    # The id of what came out, which two slots may have in common, is no hashpath.
    for asked in (first, second):
        trust.read(tagged(wallet, "2", "b" * 43), "compute", asked)


def test_marks_are_bounded(wallet: Wallet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binding, "SEEN", 3)
    seen = binding.Seen()
    for number in range(5):
        headers, body = signing.sign(wallet, {"a": str(number)})
        seen.note(httpsig.check(headers, body), Asked(str(number)))
    assert len(seen._names) == 3


def reader(wallet: Wallet, level: Verify) -> tuple[Trust, list[str]]:
    told: list[str] = []
    trust = Trust("node", told.append)
    trust.level, trust.address = level, wallet.address
    trust.pin = Pin(wallet.address, 1 << 40)
    return trust, told


def answer_of(wallet: Wallet, said: dict[str, Any], status: int = 200) -> Response:
    headers, body = signing.sign(wallet, said)
    return Response("", status, tuple(headers), body)


@pytest.mark.parametrize("level", Verify)
@pytest.mark.parametrize(
    "said",
    [
        {"process": OTHER, "slot": 4},
        {"process": "p", "slot": 5},
        {"process": "p", "slot": 3},
        {"process": "p", "slot": "3"},
        {"process": "p", "at-slot": 3},
        {"slot": 5},
        {"process": OTHER},
        {"body": '{"process": "p", "slot": 5}', "content-type": "application/json"},
        {"body": f'{{"process": "{OTHER}"}}', "content-type": "application/json"},
    ],
)
def test_a_contradiction_is_refused(wallet: Wallet, said: dict[str, Any], level: Verify) -> None:
    trust, told = reader(wallet, level)
    read = trust.json if "body" in said else trust.read
    with pytest.raises(AoError, match=r"is refused: it is for (process|slot)") as raised:
        read(answer_of(wallet, said), "compute", Asked("", {PROCESS: "p", SLOT: 4}))
    assert raised.value.stage == "verify" and not told and trust.state == "refused"


@pytest.mark.parametrize("level", VERIFYING)
@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"output": "2"}, "nothing in it names the request"),
        ({"output": "2", "process": "p"}, "it names the process and no more"),
        ({"output": "2", "slot": 4}, "it names the slot and no more"),
        ({"output": "2", "process": "p", "slot": 4}, "it names the process and the slot that was"),
        ({"process": {"a": "b"}, "at-slot": 4}, "it names the slot and no more"),
    ],
)
def test_the_strength_is_said_once_for_each_kind(
    wallet: Wallet, said: dict[str, Any], words: str, level: Verify
) -> None:
    trust, told = reader(wallet, level)
    for stage in ("compute", "compute", "dryrun", "slot"):
        trust.read(answer_of(wallet, said), stage, Asked("", {PROCESS: "p", SLOT: 4}))
    assert [line.partition(":")[0] for line in told] == ["compute", "dryrun"]
    whose = "attested" if level is Verify.ATTESTED else "node's own"
    assert all(f"signed by the {whose} key; {words}" in line for line in told)


@pytest.mark.parametrize("level", Verify)
def test_the_status_that_was_signed_is_the_one_that_came(wallet: Wallet, level: Verify) -> None:
    trust, _ = reader(wallet, level)
    with pytest.raises(AoError, match="status 404 was signed, and 200 came"):
        trust.read(answer_of(wallet, {"body": "not_found", "status": 404}), "now")
    assert trust.read(answer_of(wallet, {"body": "x", "status": 200}), "now")["body"] == "x"


@pytest.mark.parametrize("level", VERIFYING)
def test_what_is_json_says_so_signed(wallet: Wallet, level: Verify) -> None:
    """Otherwise the output of a process could be read as its result."""
    trust, _ = reader(wallet, level)
    printed = answer_of(wallet, {"body": '{"output": "x"}', "status": 200})
    answer = Response(
        "", 200, (*printed.headers, ("content-type", "application/json")), printed.body
    )
    with pytest.raises(AoError, match="does not sign this answer"):
        trust.json(answer, "compute")


@pytest.mark.parametrize("level", VERIFYING)
def test_an_unsigned_answer_is_refused_and_remembered_as_such(
    wallet: Wallet, level: Verify
) -> None:
    trust, told = reader(wallet, level)
    plain = Response("", 200, (("content-type", "text/plain"),), b"x")
    with pytest.raises(NotSignedError, match="does not sign this answer"):
        trust.read(plain, "compute")
    assert (trust.state, trust.refused, told) == ("refused", True, [])
    trust.level = Verify.OFF
    assert trust.read(plain, "compute")["body"] == "x"
    assert (trust.state, trust.refused) == ("unsigned", False)
    assert told == ["node does not sign its answers (.verify on refuses them)"]


@pytest.mark.parametrize("level", Verify)
def test_a_bad_signature_is_refused_at_every_level(wallet: Wallet, level: Verify) -> None:
    trust, _ = reader(wallet, level)
    good = answer_of(wallet, {"output": "2"})
    changed = [(name, "3" if name == "output" else value) for name, value in good.headers]
    with pytest.raises(AoError, match="is refused: ") as raised:
        trust.read(replace(good, headers=tuple(changed)), "compute")
    assert raised.value.stage == "verify"
    assert '"output": 3' in trust.last_failure


@pytest.mark.parametrize("level", Verify)
def test_the_answer_of_another_key_is_refused(
    wallet: Wallet, other_wallet: Wallet, level: Verify
) -> None:
    trust, _ = reader(wallet, level)
    with pytest.raises(AoError, match=r"signed by .*, not by the (node's own|attested) key"):
        trust.read(answer_of(other_wallet, {"output": "2"}), "compute")


def test_the_attested_key_counts_and_not_the_nodes_own(wallet: Wallet) -> None:
    trust, _ = reader(wallet, Verify.ATTESTED)
    trust.address = OTHER
    assert trust.read(answer_of(wallet, {"output": "2"}), "compute")["output"] == "2"
    trust.address, trust.pin = wallet.address, Pin(OTHER, 1 << 40)
    with pytest.raises(AoError, match="not by the attested key"):
        trust.read(answer_of(wallet, {"output": "2"}), "compute")


@pytest.mark.parametrize("pin", [None, "late"])
def test_without_a_valid_attestation_nothing_is_taken(wallet: Wallet, pin: str | None) -> None:
    trust, _ = reader(wallet, Verify.ATTESTED)
    trust.pin = Pin(wallet.address, 1) if pin else None
    for answer in (answer_of(wallet, {"output": "2"}), Response("", 200, (), b"x")):
        with pytest.raises(AoError, match=r"is not attested|was attested too long ago"):
            trust.read(answer, "compute")


def test_an_answer_signed_by_two_keys_is_refused(wallet: Wallet, other_wallet: Wallet) -> None:
    """One of them could be anybody's, who adds a signature over more than the node signed."""
    trust, _ = reader(wallet, Verify.ON)
    said: Tabm = {"output": "2"}
    signatures = signing.commit(wallet, said)[0], signing.commit(other_wallet, said)[0]
    headers = tuple((said | write_commitments(signatures)).items())
    answer = Response("", 200, headers, b"")  # type: ignore[arg-type]
    with pytest.raises(AoError, match=r"signed by .* and .*, not by the node's own key"):
        trust.read(answer, "compute")


def test_only_what_was_signed_is_read(wallet: Wallet) -> None:
    trust, _ = reader(wallet, Verify.ON)
    answer = answer_of(wallet, {"output": "2"})
    more = replace(answer, headers=(*answer.headers, ("error", "evil")))
    assert trust.read(more, "compute") == {"output": "2"}


def test_json_must_be_the_signed_body_whole(wallet: Wallet) -> None:
    trust, _ = reader(wallet, Verify.ON)
    said = {"body": '{"output": "x"}', "content-type": "application/json"}
    answer = answer_of(wallet, said)
    assert trust.json(answer, "compute") == {"output": "x"}
    headers, _ = signing.sign(wallet, {"n": "1", "content-type": "application/json"})
    with pytest.raises(NotSignedError):
        trust.json(Response("", 200, tuple(headers), answer.body), "compute")


def test_a_failure_shows_signed_words_only(wallet: Wallet) -> None:
    trust, _ = reader(wallet, Verify.ON)
    good = answer_of(wallet, {"body": "no gas", "status": 400}, 400)
    assert trust.failure(good, "compute", "does not") == "node does not: 400 no gas"
    for other in (
        answer_of(wallet, {"body": "no gas", "status": 200}, 400),
        answer_of(wallet, {"body": "no gas"}, 400),
        Response("", 400, (), b"no gas"),
    ):
        shown = trust.failure(other, "compute", "does not")
        assert "no gas" not in shown and "400" in shown


def test_the_same_content_may_answer_several_requests(wallet: Wallet) -> None:
    """The HMACs of equal answers are equal, so the answers are told apart by their signatures."""
    seen = binding.Seen()
    for name in ("a", "b"):
        headers, body = signing.sign(wallet, {"output": "2"})
        seen.note(httpsig.check(headers, body), Asked(name))
    with pytest.raises(ContradictionError, match="came before"):
        seen.note(httpsig.check(headers, body), Asked("a"))
    seen.note(httpsig.check(headers, body), Asked())  # which may serve several


def test_a_hashpath_marks_requests_that_name_a_slot_only() -> None:
    def checked(id: str, tag: str) -> httpsig.Checked:
        one = make_commitment(b"s" * 512, EDGE, alg=RSA, keyid="k", tag=tag)
        one = replace(one, id=id, committer=OTHER)
        return httpsig.Checked(httpsig.SignatureStatus.VERIFIED, (one,))

    seen = binding.Seen()
    seen.note(checked("1", "a/b"), Asked("first", {PROCESS: "p"}))
    seen.note(checked("2", "a/b"), Asked("second", {PROCESS: "p"}))
    seen.note(checked("3", "a/b"), Asked("third", {SLOT: 1}))
    with pytest.raises(ContradictionError):
        seen.note(checked("4", "a/b"), Asked("fourth", {SLOT: 2}))
    seen.note(checked("5", "ab"), Asked("fifth", {SLOT: 1}))
    seen.note(checked("6", "ab"), Asked("sixth", {SLOT: 2}))  # one id alone is no hashpath


def test_a_message_is_named_by_the_id_of_a_signed_map_only() -> None:
    asked = Asked("", {MESSAGE: OTHER})
    assert binding.named({"body": "text"}, {}, asked) == ()
    assert binding.named({"body": {"a": "1"}}, {"body": OTHER}, asked) == (MESSAGE,)
    with pytest.raises(ContradictionError, match="it is for message"):
        binding.named({}, {"body": "m" * 43}, asked)
    assert binding.named({"process": {"a": "b"}}, {"process": "p"}, Asked("", {PROCESS: "p"})) == (
        PROCESS,
    )
