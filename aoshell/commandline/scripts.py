"""Scripts for bash, zsh and fish that complete the command line, made from the table.

Values that only the user knows (a URL, a number) are not completed; no files are offered for them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from aoshell.commandline.table import Flag, Form, Value, below, commands, first, longer

Table = Sequence[Form]

_HEAD = "# Completes the command line of aoshell; written by `aoshell completion {}`.\n"


def _quoted(text: str) -> str:
    """A word quoted for any of these shells."""
    return "'" + text.replace("'", "'\\''") + "'"


# bash --------------------------------------------------------------------------------------------

_BASH = """\
_aoshell() {
  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} form=aoshell word
  # Readline cuts --flag=value at the sign.
  if [[ $cur == = ]]; then cur=; elif [[ $prev == = ]]; then prev=${COMP_WORDS[COMP_CWORD-2]}; fi
  ((COMP_CWORD > 1)) && case ${COMP_WORDS[1]} in COMMANDS) form=${COMP_WORDS[1]} ;; esac
  ((COMP_CWORD > 2)) && case "$form ${COMP_WORDS[2]}" in LONGER) form+=" ${COMP_WORDS[2]}" ;; esac
  COMPREPLY=()
  case "$form $prev" in
VALUES
  esac
  if [[ $cur == -* ]]; then
    case $form in
FLAGS
    esac
    return
  fi
  case $form in
PLACES
  esac
}

# Offers those of the words that begin as what is typed. Nothing in them is expanded.
_aoshell_words() {
  local word
  for word in "$@"; do [[ $word == "$cur"* ]] && COMPREPLY+=("$word"); done
}

_aoshell_files() { compopt -o default 2>/dev/null; }

_aoshell_processes() {
  local names
  names=$("${COMP_WORDS[0]}" completion --names 2>/dev/null </dev/null)
  while IFS= read -r word; do _aoshell_words "$word"; done <<<"$names"
}

complete -F _aoshell aoshell
"""


def bash(table: Table) -> str:
    """The script for bash 3.2 and later."""
    words = [name for name, _ in commands(table)]
    values, flags, places = [], [], []
    for form in table:
        for flag in form.flags:
            if flag.value:
                at = "|".join(_quoted(f"{form.key} {name}") for name in flag.names)
                values.append(f"    {at}) {_bash_value(flag.value)} return ;;")
        names = " ".join(name for flag in form.flags for name in flag.names)
        flags.append(f"      {_quoted(form.key)}) _aoshell_words {names} ;;")
        offered = " ".join(_bash_value(place) for place in form.places)
        if not form.words:
            offered = f"((COMP_CWORD == 1)) && _aoshell_words {' '.join(words)}; {offered}"
        elif more := [one.words[1] for one in below(table, form)]:
            offered = f"((COMP_CWORD == 2)) && _aoshell_words {' '.join(more)}; {offered}"
        places.append(f"    {_quoted(form.key)}) {offered} ;;")
    return _HEAD.format("bash") + (
        _BASH.replace("COMMANDS", "|".join(words))
        .replace("LONGER", "|".join(map(_quoted, longer(table))))
        .replace("VALUES", "\n".join(values))
        .replace("FLAGS", "\n".join(flags))
        .replace("PLACES", "\n".join(places))
    )


def _bash_value(value: Value) -> str:
    parts = [f"_aoshell_words {' '.join(value.words)};"] if value.words else []
    parts += ["_aoshell_files;"] if value.file else []
    parts += ["_aoshell_processes;"] if value.process else []
    return " ".join(parts) or ":;"


# zsh ---------------------------------------------------------------------------------------------

_ZSH = """\
_aoshell_processes() {
  local -a names
  names=(${(f)"$($words[1] completion --names 2>/dev/null </dev/null)"})
  (( $#names )) && compadd -a names
}

_aoshell_first() {
  local -a commands
  commands=(
COMMANDS
  )
  _describe -t commands command commands
  _aoshell_processes
}

_aoshell() {
  local form=aoshell program=$words[1]
  if (( CURRENT > 2 )); then
    case $words[2] in FIRST) form=$words[2] ;; esac
    case "$form $words[3]" in LONGER) (( CURRENT > 3 )) && form+=" $words[3]" ;; esac
  fi
  if [[ $form != aoshell ]]; then
    local -a chosen=(${=form})
    words=($program "${(@)words[$#chosen+2,-1]}")
    (( CURRENT -= $#chosen ))
  fi
  case $form in
FORMS
  esac
}

if [[ $funcstack[1] == _aoshell ]]; then _aoshell "$@"; else compdef _aoshell aoshell; fi
"""


def zsh(table: Table) -> str:
    """The script for zsh, to be sourced or to be put into a folder of $fpath as _aoshell."""
    described = [f"    {_quoted(f'{name}:{about}')}" for name, about in commands(table)]
    formed = []
    for form in table:
        specs = [spec for flag in form.flags for spec in _zsh_flag(flag)]
        if not form.words:
            specs.append("'1:process or command:_aoshell_first'")
        else:
            more = [one.words[1] for one in below(table, form)]
            specs += [_zsh_place(number, one, more) for number, one in enumerate(form.places)]
        begin = f"    {_quoted(form.key)}) _arguments -S \\\n      "
        formed.append(begin + " \\\n      ".join(specs))
        formed[-1] += " ;;"
    return (
        "#compdef aoshell\n"
        + _HEAD.format("zsh")
        + _ZSH.replace("COMMANDS", "\n".join(described))
        .replace("FIRST", "|".join(name for name, _ in commands(table)))
        .replace("LONGER", "|".join(map(_quoted, longer(table))))
        .replace("FORMS", "\n".join(formed))
    )


def _zsh_flag(flag: Flag) -> list[str]:
    about = _zsh_text(flag.help)
    value = f":{_zsh_text(flag.value.name)}:{_zsh_action(flag.value)}" if flag.value else ""
    # `*`: it may be repeated, as --run and --tag-name. `=`: the value may follow a sign.
    sign = "=" if flag.value else ""
    return [
        _quoted(f"*{name}{sign if name.startswith('--') else ''}[{about}]{value}")
        for name in flag.names
    ]


def _zsh_place(number: int, place: Value, more: Sequence[str]) -> str:
    """A positional argument; `more` are words for the same place that choose a subcommand."""
    at = "*" if place.many else str(number + 1)
    action = f"{{_files; compadd {' '.join(more)}}}" if more else _zsh_action(place)
    return _quoted(f"{at}:{_zsh_text(place.name)}:{action}")


def _zsh_action(value: Value) -> str:
    if value.process:
        return "_aoshell_processes"
    if value.file and value.words:
        return f"{{_files; compadd {' '.join(value.words)}}}"
    if value.file:
        return "_files"
    return f"({' '.join(value.words)})" if value.words else " "


def _zsh_text(text: str) -> str:
    for sign in "\\[]:":
        text = text.replace(sign, f"\\{sign}")
    return text


# fish --------------------------------------------------------------------------------------------

_FISH = """\
function __aoshell_form
  set -l words (commandline -opc)
  set -e words[1]
  switch "$words[1] $words[2]"
LONGER
  end
  switch "$words[1]"
COMMANDS
  end
  echo aoshell
end

function __aoshell_is
  test (__aoshell_form) = "$argv"
end

function __aoshell_begins
  test (count (commandline -opc)) -eq 1
end

function __aoshell_processes
  set -l words (commandline -opc)
  $words[1] completion --names 2>/dev/null </dev/null
end

complete -c aoshell -f
"""


def fish(table: Table) -> str:
    """The script for fish 3.1 and later."""
    lines = []
    for name, about in commands(table):
        lines.append(f"complete -c aoshell -n __aoshell_begins -a {name} -d {_fish_text(about)}")
    for form in table:
        here = f"complete -c aoshell -n {_quoted(f'__aoshell_is {form.key}')}"
        for place in form.places:
            lines += [f"{here} {_fish_value(place)}"] if _fish_value(place) else []
        for one in below(table, form):
            lines.append(f"{here} -a {one.words[1]} -d {_fish_text(first(one.about))}")
        for flag in form.flags:
            names = " ".join(
                f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}"
                for name in flag.names
            )
            takes = flag.value and (
                "-r" if flag.value.file else "-x"
            )  # -x: a value that is no file
            value = f" {takes} {_fish_value(flag.value)}".rstrip() if flag.value else ""
            lines.append(f"{here} {names}{value} -d {_fish_text(flag.help)}")
    cases = [f"    case {_quoted(one)}\n      echo {one}\n      return" for one in longer(table)]
    single = " ".join(name for name, _ in commands(table))
    script = _FISH.replace("LONGER", "\n".join(cases)).replace(
        "COMMANDS", f"    case {single}\n      echo $words[1]\n      return"
    )
    return _HEAD.format("fish") + script + "\n".join(lines) + "\n"


def _fish_value(value: Value) -> str:
    offered = list(value.words) + (["(__aoshell_processes)"] if value.process else [])
    parts = ["-F"] if value.file else []
    return " ".join([*parts, *([f"-a {_quoted(' '.join(offered))}"] if offered else [])])


def _fish_text(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


SCRIPTS: dict[str, Callable[[Table], str]] = {"bash": bash, "zsh": zsh, "fish": fish}
"""By the name of the shell."""
