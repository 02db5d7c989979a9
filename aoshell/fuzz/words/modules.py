"""Makes the vocabulary of WebAssembly without aos, from its exports and known messages."""

from __future__ import annotations

import re
from collections.abc import Iterator

from aoshell.fuzz.words.listing import FORMS, Past
from aoshell.fuzz.words.vocabulary import MessageForm, ValueKind, Vocabulary, Word
from aoshell.sandbox.wasm.binary import describe_module
from aoshell.sandbox.wasm.functions import EXECUTE, is_callable
from aoshell.sandbox.wasm.strings import ALLOCATORS

_VALUES = 50  # of one tag that are used again
_MAKE_ROOM = frozenset((*ALLOCATORS, "__new"))  # exports that pass texts
_PARAMETERS = re.compile(r"\(([^)]*)\)")  # of a signature: (i32, i64) -> i32


def read_module(data: bytes, past: Past) -> Vocabulary:
    """The vocabulary of a module whose code is not read.

    Args:
        past: tags of messages that it has received, or that tests next to it send.
    """
    known = list(_functions(data)) if describe_module(data).kind == "plain" else []
    return Vocabulary(tuple([*known, *_known(past)][:FORMS]))


def _functions(data: bytes) -> Iterator[MessageForm]:
    """A form for each function, with numbers as arguments, and with a text if it can take one."""
    exports = describe_module(data).exports
    takes_text = any(export.name in _MAKE_ROOM for export in exports)
    for export in exports:
        if export.kind != "function" or not is_callable(export.name):
            continue
        given = _PARAMETERS.search(export.signature)
        takes = tuple(part.strip() for part in given[1].split(",")) if given else ()
        fixed = (("Action", EXECUTE), ("Function", export.name))
        numbers = Word("Parameters", ValueKind.PARAMETERS, tuple(filter(None, takes)))
        yield MessageForm(export.name, fixed, (numbers,))
        if takes_text:
            yield MessageForm(export.name, fixed, (Word("InputData"),))


def _known(past: Past) -> Iterator[MessageForm]:
    """One form for each Action of known messages, with all tags that came with it."""
    by_action: dict[str, dict[str, dict[str, None]]] = {}
    for tags in past:
        action = dict(tags).get("Action")
        if action is not None and action != EXECUTE:
            words = by_action.setdefault(action, {})
            for name, value in tags:
                if name != "Action":
                    words.setdefault(name, {})[value] = None
    for action, words in by_action.items():
        found = (_word(name, tuple(values)[:_VALUES]) for name, values in sorted(words.items()))
        yield MessageForm(action, (("Action", action),), tuple(found), data="text")


def _word(name: str, seen: tuple[str, ...]) -> Word:
    is_number = all(value.isdecimal() for value in seen)
    return Word(name, ValueKind.NUMBER if is_number else ValueKind.TEXT, (), seen)
