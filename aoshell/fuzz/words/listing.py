"""Makes the vocabulary of a process from its present handlers and its code."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from aoshell.fuzz.words.reading import OWN_FIELDS, Reader, Reads, read_scripts
from aoshell.fuzz.words.vocabulary import MessageForm, Vocabulary, Word
from aoshell.protocol.encoding import has_id_form

# Lua: the handlers of a process, with patterns that are not functions.
LIST = """(function()
  local found = {}
  for i, one in ipairs(Handlers.list) do
    local pattern = one.pattern
    if type(pattern) == "table" then
      local data = {}
      for key, value in pairs(pattern) do
        if type(key) == "string" and type(value) ~= "function" then data[key] = value end
      end
      pattern = data
    elseif type(pattern) ~= "string" then
      pattern = false
    end
    found[i] = { name = one.name, pattern = pattern }
  end
  return found
end)()"""
FORMS = 400  # most message forms of a process
_SPREAD = 8  # most forms from one pattern with alternatives
_BUILT_IN = frozenset(("_eval", "_default", "_boot"))

Past = Sequence[Sequence[tuple[str, str]]]
"""Tags of messages that a process has received."""


def read_vocabulary(
    sources: dict[str, bytes], listed: Iterable[Mapping[str, Any]], past: Past = ()
) -> Vocabulary:
    """The vocabulary of a process.

    Args:
        sources: its code by file.
        listed: the result of `LIST`.
        past: tags of messages that it has received.
    """
    reader = Reader(read_scripts(sources))
    everything = reader.all_reads()
    seen = _values(past)
    forms: list[MessageForm] = []
    for one in listed:
        name = str(one.get("name", ""))
        if name not in _BUILT_IN:
            forms += _forms(reader, everything, name, one.get("pattern"), seen)
    numbers, texts = reader.constants()
    return Vocabulary(
        tuple(forms[:FORMS]),
        tuple(sorted(numbers)),
        tuple(sorted(text for text in texts if not has_id_form(text))),
        tuple(sorted(text for text in texts if has_id_form(text))),
    )


def _forms(
    reader: Reader, everything: Reads, name: str, pattern: object, seen: dict[str, tuple[str, ...]]
) -> list[MessageForm]:
    known = reader.handler(name)
    reads = reader.reads_of(known[1]) if known else everything
    wanted = _wanted(pattern)
    if not wanted and known:
        found = reader.wanted(known[1])
        wanted = {tag: sorted(values) for tag, values in found.items()}
    if not wanted and not pattern:
        wanted = {"Action": sorted({name, *everything.choices.get("Action", ())})}
    meant = known is not None and reader.always_answers(*known)
    more = {tag for tag in _asked(pattern) if tag not in wanted}
    words = tuple(
        _with_seen(reads.word(tag), seen)
        for tag in sorted((reads.names | more) - wanted.keys() - {"Action"})
    )
    ways = itertools.product(*([(tag, value) for value in wanted[tag]] for tag in sorted(wanted)))
    return [
        MessageForm(name, fixed, words, reads.data, tuple(sorted(reads.keys)), meant)
        for fixed in itertools.islice(ways, _SPREAD)
    ]


def _wanted(pattern: object) -> dict[str, list[str]]:
    """Tag → the values that a pattern (not a function) accepts."""
    if isinstance(pattern, str):
        return {"Action": [pattern]}
    if not isinstance(pattern, dict):
        return {}
    found = {}
    for tag, value in pattern.items():
        values = value if isinstance(value, list) else [value]
        texts = [one for one in values if isinstance(one, str) and one != "_"]
        if tag not in OWN_FIELDS and texts and not any("%" in one for one in texts):
            found[str(tag)] = texts
    return found


def _asked(pattern: object) -> set[str]:
    """The tags in a pattern, with any values."""
    names = pattern.keys() if isinstance(pattern, dict) else ()
    return {str(tag) for tag in names if tag not in OWN_FIELDS}


def _values(past: Past) -> dict[str, tuple[str, ...]]:
    found: dict[str, dict[str, None]] = {}
    for tags in past:
        for name, value in tags:
            found.setdefault(name, {})[value] = None
    return {name: tuple(values)[:50] for name, values in found.items()}


def _with_seen(word: Word, seen: dict[str, tuple[str, ...]]) -> Word:
    values = seen.get(word.name, ())
    return Word(word.name, word.kind, word.choices, values) if values else word
