"""The options of a command line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple


class Options(NamedTuple):
    """What the flags set.

    Attributes:
        reference: the process's name or id, "" for the default one.
        sure: it follows `--`, so it is a name, even if it looks like a command or a flag.
        script: what --run and --load ask for, in order, as lines of the shell.
        runs: whether --run is among them: then nothing is read from standard input.
        pairs: the names and values of --tag-name and --tag-value.
        tags_as_sent: whether handlers also get tags under their original names.
        seconds, megabytes: limits, None for the node's own.
        network: which node, by the keys that `endpoints.resolve_endpoints` takes.
        verify: which answers are accepted, a value of `nodes.values.Verify`; "" for the default.
        state: a dump to begin with, in a temporary home; "" for the user's home.
        time_profile: a file for speedscope with a profile of the time, "" for none.
        watch: a process to follow without evaluating anything, "" for none.
    """

    reference: str = ""
    sure: bool = False
    script: Sequence[str] = ()
    runs: bool = False
    module: str = ""
    data: str = ""
    pairs: Sequence[tuple[str, str]] = ()
    tags_as_sent: bool = False
    cron: str = ""
    wallet: str = ""
    seconds: float | None = None
    megabytes: float | None = None
    network: Mapping[str, str] = MappingProxyType({})
    verify: str = ""
    state: str = ""
    time_profile: str = ""
    watch: str = ""
    list: bool = False
    json: bool = False
    no_wait: bool = False
    no_startup: bool = False
