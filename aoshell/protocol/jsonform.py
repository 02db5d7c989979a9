"""Messages as JSON with their commitments, as nodes give them where JSON is asked for (`json@1.0`).

HyperBEAM writes the commitments of a message under `commitments`, in it and in the maps in it. JSON
keeps texts, numbers, lists and maps apart, so what was signed can be rebuilt from it. But JSON
writes atoms as texts, and `ao-types`, which names them, may be absent. Then a good signature does
not fit. So a signature that does not fit is uncheckable here, never bad.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from aoshell.protocol.encoding import ProtocolError
from aoshell.protocol.httpsig import Checked, SignatureStatus, check_map, find_part
from aoshell.protocol.structured import ITSELF, Value, read_types, typed, value_of, write_types
from aoshell.protocol.tabm import COMMITMENTS, DEEPEST, TYPES, Tabm


def check_json(value: Mapping[str, object], *, shallow: bool = False) -> Checked:
    """What a message in JSON holds and what of it is signed. Raises nothing, whatever comes.

    Args:
        value: an object as a JSON parser gives it.
        shallow: as `httpsig.check()` has it.

    Returns:
        VERIFIED, UNSIGNED or UNCHECKABLE. `message` is what came, without commitments.
    """
    message = _bare(value, 0)
    assert isinstance(message, dict)
    if not isinstance(value.get(COMMITMENTS), Mapping):
        return Checked(SignatureStatus.UNSIGNED, message=message)
    try:
        checked = check_map(from_json(value), shallow=shallow)
    except ProtocolError as failure:
        return Checked(SignatureStatus.UNCHECKABLE, message=message, failure=failure)
    # Older nodes write no commitments into JSON, so the profile is that of the current ones.
    if checked.outcome is SignatureStatus.BAD:
        checked = replace(checked, outcome=SignatureStatus.UNCHECKABLE)
    return replace(checked, message=message)


def read_json_part(value: Mapping[str, object], id_: str) -> Value:
    """As `httpsig.read_part()`, for a message in JSON. JSON may have lost atoms, so the right
    message may have another id here.

    Raises:
        ProtocolError: it cannot be read, or none has this id.
    """
    checked = check_json(value)
    if [one.id for one in checked.commitments if one.committer] == [id_]:
        return value_of(checked.covered)
    tabm = from_json(value)
    return find_part({key: one for key, one in tabm.items() if key != COMMITMENTS}, id_)


def _bare(value: object, depth: int) -> Value:
    """A copy without commitments, and without what is nested too deep."""
    if isinstance(value, Mapping):
        if depth > DEEPEST:
            return {}
        return {key: _bare(inner, depth + 1) for key, inner in value.items() if key != COMMITMENTS}
    if isinstance(value, list):
        return [_bare(inner, depth + 1) for inner in value] if depth <= DEEPEST else []
    return value  # type: ignore[return-value]  # what is left of JSON: text, numbers, true, null


def from_json(message: Mapping[str, object], depth: int = 0) -> Tabm:
    """An object of JSON as TABM; its keys stay as they are.

    Args:
        depth: of the maps around it.

    Raises:
        ProtocolError: it is nested too deep, or its `ao-types` cannot be read.
    """
    if depth > DEEPEST:
        raise ProtocolError(f"nested deeper than {DEEPEST}", 0, "the message")
    tabm: Tabm = {}
    types: dict[str, str] = {}
    for key, value in message.items():
        if isinstance(value, Mapping):
            tabm[key] = from_json(value, depth + 1)
        elif isinstance(value, list):
            tabm[key] = _list(value, depth + 1)
        else:
            tabm[key], kind = typed(value)
            if kind:
                types[key] = kind
    if types := types | read_types(tabm):
        tabm[TYPES] = write_types(types)
    return tabm


def _list(values: Sequence[object], depth: int) -> Tabm:
    tabm = from_json({str(number): value for number, value in enumerate(values, 1)}, depth)
    inner = tabm.pop(TYPES, "")
    types = ", ".join(filter(None, (write_types({ITSELF: "list"}), str(inner))))
    return tabm | {TYPES: types}
