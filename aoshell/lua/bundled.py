"""Reads the files back from a chunk of Lua that `shell/code/bundle` has made."""

from __future__ import annotations

import re

from aoshell.protocol.message import text

# The first line of a chunk, and its form in older logs: file("x.y", [[@x/y.lua]], [[…]]).
_HEAD = re.compile(
    rb"^local (?:file, main = load|function file\(name, chunk, source)", re.MULTILINE
)
_CALL = re.compile(
    rb"""^(?:return\ )?(?:file|main)\((?:nil|"(?P<name>[^"]*)"|\{(?P<names>(?:"[^"]*"(?:,\ )?)*)\}),
    \ \[(?P<one>=*)\[\n@(?P<file>.*?)\](?P=one)\],
    (?:\ (?:true|false|\[(?P<by>=*)\[\n@.*?\](?P=by)\],\ \d+),)?
    \ \[(?P<two>=*)\[\n(?P<source>.*?)\](?P=two)\]\)$""",
    re.DOTALL | re.MULTILINE | re.VERBOSE,
)
_NAME = re.compile(rb'"([^"]*)"')
_ESCAPE = re.compile(rb"\\(\d{3})")


def unbundle(source: bytes) -> list[tuple[list[str], str, bytes]]:
    """The files of a chunk that `bundle` made, in order: names of the module, path, text."""
    head = _HEAD.search(source)
    if head is None:
        return []
    return [
        (_names(found), text(found["file"]), found["source"])
        for found in _CALL.finditer(source, head.end())
    ]


def _names(call: re.Match[bytes]) -> list[str]:
    if call["name"]:
        return [text(call["name"])]
    escaped = _NAME.findall(call["names"] or b"")
    return [text(_ESCAPE.sub(lambda code: bytes([int(code[1])]), name)) for name in escaped]
