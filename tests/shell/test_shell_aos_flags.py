"""Each flag of aos is taken, or answered with what to use instead."""

from __future__ import annotations

import pytest

from aoshell.cli import main
from aoshell.errors import UsageError
from aoshell.shell.flags import aos
from aoshell.shell.flags.arguments import parse_arguments

# All that aos 2.0.16 reads of its command line (src, by `argv.`), with a value where it takes one.
TAKEN = {
    "--wallet": "pyproject.toml",
    "--watch": "a" * 43,
    "--load": "pyproject.toml",
    "--run": "1+1",
    "--list": "",
    "--data": "pyproject.toml",
    "--tag-name": "x",
    "--module": "a" * 43,
    "--cron": "5-minutes",
    "--monitor": "",
    "--gateway-url": "http://127.0.0.1:1",
    "--cu-url": "http://127.0.0.1:1",
    "--mu-url": "http://127.0.0.1:1",
    "--sqlite": "",
    "--mainnet": "http://127.0.0.1:1",
    "--url": "http://127.0.0.1:1",
    "--legacy": "",
    "--authority": "a" * 43,
    "--scheduler": "a" * 43,
}
ANSWERED = ("--topup", "--get-blueprints", "--hyper", "--address", "--dev")


@pytest.mark.parametrize("flag", TAKEN)
def test_a_flag_of_aos_is_taken(flag: str) -> None:
    rest = ["--tag-value", "y"] if flag == "--tag-name" else []
    parse_arguments([flag, *filter(None, [TAKEN[flag]]), *rest])
    if TAKEN[flag]:
        parse_arguments([f"{flag}={TAKEN[flag]}", *rest])


@pytest.mark.parametrize("form", ["{}", "{} value", "{}=value"])
@pytest.mark.parametrize("flag", ANSWERED)
def test_a_flag_without_a_meaning_here_is_answered(flag: str, form: str) -> None:
    with pytest.raises(UsageError, match=f"^{flag} is a flag of aos") as caught:
        parse_arguments(["desk", *form.format(flag).split()])
    assert aos.ANSWERED[flag][1] in caught.value.hint


def test_the_answer_is_an_error_of_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--topup"]) == 2
    told = capsys.readouterr()
    assert (told.out, "--topup is a flag of aos" in told.err) == ("", True)


@pytest.mark.parametrize("flag", ["--url", "--mainnet"])
def test_the_url_of_a_node(flag: str) -> None:
    assert parse_arguments([flag, "http://n"]).network == {"node": "http://n"}


def test_monitor_comes_first() -> None:
    options = parse_arguments(["--run", "1", "--load", "pyproject.toml", "--monitor"])
    assert options.script == [".monitor", "1", ".load pyproject.toml"]
    with pytest.raises(UsageError, match="--watch only follows, and --monitor"):
        parse_arguments(["--watch", "x", "--monitor"])


@pytest.mark.parametrize("flag", ["--dryrun", "--dry-run"])
def test_a_dry_run(flag: str) -> None:
    assert parse_arguments(["--run", "x = 1\ny", flag]).script == [".dryrun x = 1\ny"]
    for wrong in ([flag], [flag, "--load", "pyproject.toml", "--run", "1"]):
        with pytest.raises(UsageError, match="goes with --run"):
            parse_arguments(wrong)


def test_sqlite_is_a_module() -> None:
    assert parse_arguments(["--sqlite"]).module == aos.AOS_SQLITE
    with pytest.raises(UsageError, match="two modules"):
        parse_arguments(["--sqlite", "--module", "x"])


def test_tags_as_they_were_sent() -> None:
    assert parse_arguments(["--tags", "as-sent"]).tags_as_sent
    assert not parse_arguments(["desk"]).tags_as_sent
    with pytest.raises(SystemExit):
        parse_arguments(["--tags", "other"])
