"""The grammar of arguments, and the table of commands."""

from __future__ import annotations

import time

import pytest

from aoshell.shell.commands import registry
from aoshell.shell.commands.grammar import Grammar, MisfitError
from aoshell.shell.commands.table import GROUPS, TABLE


@pytest.mark.parametrize(
    ("usage", "text", "given"),
    [
        ("", "", {}),
        ("PROCESS", "token", {"PROCESS": "token"}),
        ("FILE", "two words.lua", {"FILE": "two words.lua"}),
        ("FILE [as NAME]", "my as file.lua as coin", {"FILE": "my as file.lua", "NAME": "coin"}),
        ("FILE [as NAME]", "a.lua", {"FILE": "a.lua"}),
        ("[PROCESS] [--last N]", "--last 3 desk", {"PROCESS": "desk", "--last": "3"}),
        ("[PROCESS] [--last N]", "desk --last=3", {"PROCESS": "desk", "--last": "3"}),
        ("[PROCESS] [--last N]", f"-{'y' * 42}", {"PROCESS": f"-{'y' * 42}"}),
        ("[PROCESS] [--last N]", f"--{'y' * 41}", {"PROCESS": f"--{'y' * 41}"}),
        ("MODULE [as NAME] [--yes]", "-- -x as y", {"MODULE": "-x", "NAME": "y"}),
        ("[PROCESS[@SLOT]] [N]", "20", {"N": "20"}),
        ("[PROCESS[@SLOT]] [N]", "7 20", {"PROCESS[@SLOT]": "7", "N": "20"}),
        ("[PROCESS] [on|off]", "on", {"on|off": "on"}),
        ("[PROCESS] [drop ID]", "drop 3f", {"ID": "3f"}),
        ("[PROCESS] [drop ID]", "desk drop 3f", {"PROCESS": "desk", "ID": "3f"}),
        ("VALUE [depth N]", "f(a,  b) depth 3", {"VALUE": "f(a,  b)", "N": "3"}),
        ("VALUE [depth N]", "T depth x", {"VALUE": "T depth x"}),
        ("[PROCESS[@SLOT]] VALUE", "Balances", {"VALUE": "Balances"}),
        ("[PROCESS[@SLOT]] VALUE", "a + b", {"VALUE": "a + b"}),
        ("[PROCESS[@SLOT]] VALUE", "a - 1", {"VALUE": "a - 1"}),
        ("[PROCESS[@SLOT]] VALUE", "not x", {"VALUE": "not x"}),
        ("[PROCESS[@SLOT]] VALUE", "token Balances", ("token", "Balances")),
        ("[PROCESS[@SLOT]] VALUE", "ab--cdef Balances", ("ab--cdef", "Balances")),
        ("[PROCESS[@SLOT]] VALUE", "-a--cdef Balances", ("-a--cdef", "Balances")),
        ("[PROCESS[@SLOT]] VALUE", "return--x Balances", {"VALUE": "return--x Balances"}),
        ("[PROCESS[@SLOT]] VALUE", "-- ab Balances", {"VALUE": "-- ab Balances"}),
        (
            "[PROCESS[@SLOT]] [--last N]",
            "--aBc_9 --last 2",
            {"PROCESS[@SLOT]": "--aBc_9", "--last": "2"},
        ),
        ("[PROCESS[@SLOT]] VALUE", "@token@7 Balances[@al]", ("@token@7", "Balances[@al]")),
        ("[PROCESS[@SLOT]] CODE", "local x = = 1", {"CODE": "local x = = 1"}),
        ("[PROCESS[@SLOT]] CODE", "x = = 1", {"CODE": "x = = 1"}),
        ("[PROCESS[@SLOT]] CODE", "token x = = 1", {"CODE": "token x = = 1"}),
        ("[PROCESS[@SLOT]] CODE", "@token x = = 1", ("@token", "x = = 1")),
        ("[--keep] CODE", "--keep x = 1 --keep", {"--keep": "--keep", "CODE": "x = 1 --keep"}),
        ("[--keep] CODE", "x = 1 --twice", {"CODE": "x = 1 --twice"}),
        ("--tee URL…", "--tee a b", {"--tee": "--tee", "URL…": "a b"}),
        ("FILE|--environment [--yes]", "--environment", {"FILE|--environment": "--environment"}),
        (
            "[--where NAME=VALUE…]",
            "--where A=b C=d",
            {"--where": "--where", "NAME=VALUE…": "A=b C=d"},
        ),
        ("[NODE] [--save FILE]", 'x --save "two words"', {"NODE": "x", "--save": "two words"}),
    ],
)
def test_reads(usage: str, text: str, given: dict[str, str] | tuple[str, str]) -> None:
    if isinstance(given, tuple):
        last = usage.rpartition(" ")[2]
        given = {"PROCESS[@SLOT]": given[0], last: given[1]}
    found = Grammar(usage).read(text)
    assert {key: found[key] for key in found if key not in ("as", "drop", "depth")} == given


@pytest.mark.parametrize(
    ("usage", "text", "what"),
    [
        ("PROCESS", "", "PROCESS is missing"),
        ("PROCESS", "a b", "'b' is not expected here"),
        ("", "x", "'x' is not expected here"),
        ("[on|off]", "maybe", "on or off is expected, not 'maybe'"),
        ("SLOT CODE", "x y", "SLOT is expected, not 'x'"),
        ("[PROCESS] as NAME", "a b as c", "as is expected, not 'b'"),
        ("[PROCESS] as NAME", "a b", "`as` is expected before 'b'"),
        ("[PROCESS] as NAME", "a as", "NAME is missing"),
        ("[PROCESS] as NAME", 'a as ""', "NAME may not be empty"),
        ("FILE [as NAME]", "''", "FILE may not be empty"),
        ("FILE [as NAME]", 'x y.lua as ""', "NAME may not be empty"),
        ("ID FILE [as NAME]", "z x.lua as ''", "NAME may not be empty"),
        ("[PROCESS] [--last N]", "--last", "--last needs N"),
        ("[PROCESS] [--last N]", "--last 1 --last 2", "--last is given twice"),
        ("FILE [as NAME]", "x.lua as", "NAME is missing"),
        ("VALUE [depth N]", "x depth", "N is missing"),
        ("[PROCESS] [--last N]", "--last x", "--last takes N, not 'x'"),
        ("[PROCESS] [--last N]", "--lst", "there is no flag '--lst'"),
        ("[PROCESS] [--last N]", "--Last 2", "there is no flag '--Last'"),
        ("[--target a|b] FILE", "--target c x", "--target takes a or b, not 'c'"),
    ],
)
def test_says_what_is_wrong(usage: str, text: str, what: str) -> None:
    with pytest.raises(MisfitError) as raised:
        Grammar(usage).read(text)
    assert str(raised.value) == what


def test_a_long_text_costs_its_length() -> None:
    """Of each word alone, Lua of a megabyte took minutes."""

    def seconds(words: int) -> float:
        """Processor time, the least of three."""
        long, times = "x " * words, []
        for _ in range(3):
            begin = time.process_time()
            code = Grammar("[PROCESS[@SLOT]] CODE").read(f"7 return {long}1")["CODE"]
            file = Grammar("FILE [as NAME]").read(long)["FILE"]
            times.append(time.process_time() - begin)
            assert code.endswith("x 1") and file == long.strip()
        return min(times)

    assert seconds(20_000) < 10 * seconds(5_000)  # 4 times as much; 16 times where it is squared


def test_the_table_has_each_command() -> None:
    assert set(TABLE) == set(registry())
    for name, known in registry().items():
        assert known.row.group in GROUPS
        example = known.row.example
        assert example.startswith(f".{name}"), name
        known.grammar.read(example.partition(" ")[2])
