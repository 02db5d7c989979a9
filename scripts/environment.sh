# Sourced by the other scripts, with $repo set: the Python environment in .venv beside them.
#
#   ready LEVEL     whether .venv has what pyproject.toml asks for now. It starts no process, so
#                   that a start which finds all in place loses almost no time.
#   prepare LEVEL   makes .venv so, and says on stderr what it does. Ends the script if that fails.
#
# LEVEL is "run", or "dev", which adds what tests and checks need. Written for bash 3.2, as macOS
# has it.

venv=$repo/.venv
parts="bin include lib lib64 pyvenv.cfg" # of an environment, in .venv
tries=5 # in a row to make the lock where there is none, before .venv counts as not writable

step() { printf '  %s\n' "$*" >&2; }

say() { printf 'aoshell: %s\n' "$*" >&2; }

fail() {
  say "$@"
  exit 1
}

# Sets `stamp`: the repository's place and the whole of pyproject.toml. An environment keeps those
# that it was made from. To compare them needs no hash, and a moved or copied folder is noticed too.
wanted() {
  local project
  IFS= read -r -d '' project <"$repo/pyproject.toml"
  stamp="$repo"$'\n'"$project"
}

ready() {
  local stamp found
  [[ -x $venv/bin/python && -r $venv/ready-$1 ]] || return
  wanted
  IFS= read -r -d '' found <"$venv/ready-$1"
  [[ $found == "$stamp" ]]
}

prepare() {
  spare
  mkdir -p "$venv" 2>/dev/null || fail "cannot write to $repo, where .venv belongs"
  # In a subshell: however it ends, it gives the lock back.
  (
    acquire
    trap 'rm -rf "$venv/lock"' EXIT
    trap 'exit 130' INT HUP TERM
    ready "$1" || build "$1"
  ) || exit
}

# Ends the script where .venv is an environment that it did not make: nothing of that one is to be
# removed, and nothing is to be installed in it. One that was made here and then moved or copied
# together with the folder around it is made anew. One behind a link may be in use elsewhere, unless
# it was made for this place; and Python makes none behind a link.
spare() {
  local part
  if [[ -L $venv ]]; then
    made_here || fail "$venv is a link to $(readlink "$venv"), which was not made for $repo and is" \
      "left as it is; remove the link, and an environment is made here"
    return
  fi
  for part in $parts; do
    # Looked for in this order, as another set-up may be at work: place.new comes before all parts.
    [[ ! -e $venv/$part || -e $venv/place.new || -e $venv/place ]] ||
      fail "$venv was made by something else and is left as it is; move it away, and an" \
        "environment is made here"
  done
}

# Whether the environment in place is whole, and was made for this repository. Until it is whole,
# "place" is called "place.new".
made_here() {
  local place=
  [[ -r $venv/place ]] || return
  IFS= read -r -d '' place <"$venv/place"
  [[ $place == "$repo" ]]
}

alive() { kill -0 "$1" 2>/dev/null || ps -p "$1" >/dev/null 2>&1; }

holder() {
  pid=
  { read -r pid <"$venv/lock/pid"; } 2>/dev/null
}

acquire() {
  local pid told= vain=0 reason
  until reason=$(mkdir "$venv/lock" 2>&1); do
    # Where no lock is there now, it was given back just now, or none can be made at all.
    [[ -e $venv/lock ]] && vain=0 || vain=$((vain + 1))
    ((vain < tries)) || fail "$venv cannot be written to: ${reason##*: }"
    ((vain == 0)) || continue
    holder
    if [[ $pid ]] && ! alive "$pid"; then
      inherit && return
      [[ -w $venv/lock ]] || fail "$venv/lock was left by a set-up that ended; remove it"
    fi
    [[ $told ]] || say "waiting for another set-up to end (if there is none, remove $venv/lock)"
    told=1
    sleep 0.2
  done
  echo $$ >"$venv/lock/pid"
}

# Takes over the lock of a killed process. Only one process can make the folder "heir"; one that
# comes later finds a holder that lives.
inherit() {
  local won=1
  mkdir "$venv/lock/heir" 2>/dev/null || return
  holder
  if [[ $pid ]] && ! alive "$pid"; then
    echo $$ >"$venv/lock/pid"
    won=0
  fi
  rmdir "$venv/lock/heir"
  return $won
}

build() {
  local stamp level part python extras=
  wanted
  [[ $1 == dev ]] && extras='[dev]'
  : >"$venv/log"
  if ! sound; then
    find_python
    say "setting up $venv with $python (once; takes a minute or two)"
    step "making the environment"
    printf '%s' "$repo" >"$venv/place.new" || fail "cannot write to $venv"
    for part in $parts; do
      rm -rf "${venv:?}/$part"
    done
    rm -f "$venv"/ready-*
    "$python" -m venv "$venv" >>"$venv/log" 2>&1 || explain "$python could not make $venv"
    mv "$venv/place.new" "$venv/place"
  fi
  say "installing what pyproject.toml asks for"
  install "$extras" || explain "pip could not install the dependencies"
  for level in run ${extras:+dev}; do
    printf '%s' "$stamp" >"$venv/ready-$level.new" && mv "$venv/ready-$level.new" "$venv/ready-$level"
  done || fail "cannot write to $venv"
  say "ready"
}

# Whether the environment in place works, and was made here.
sound() {
  [[ -x $venv/bin/python ]] && made_here &&
    "$venv/bin/python" -I -c 'import pip' 2>>"$venv/log"
}

find_python() {
  local reason seen= probe='import sys
version = "%d.%d.%d" % sys.version_info[:3]
try:
    import ensurepip, venv
    usable = sys.version_info >= (3, 11)
    sys.stdout.write(version + " is too old")
except ImportError:
    usable = False
    sys.stdout.write(version + " lacks venv or ensurepip (on Debian: apt install python3-venv)")
sys.exit(0 if usable else 3)'
  for python in python3 python3.14 python3.13 python3.12 python3.11 python; do
    command -v "$python" >/dev/null || continue
    reason=$("$python" -c "$probe" 2>/dev/null)
    case $? in
      0) return ;;
      3) seen+=$'\n'"  $python $reason" ;;
      *) seen+=$'\n'"  $python does not start" ;;
    esac
  done
  fail "Python 3.11 or newer is needed, and there is none on the PATH.${seen:+ Found:$seen}"
}

install() {
  cd "$repo" || return
  "$venv/bin/python" -I -m pip install --disable-pip-version-check --no-input --retries 2 \
    --timeout 20 --editable ".$1" 2>&1 | progress
  return "${PIPESTATUS[0]}"
}

# Prints a line for each of pip's steps when it begins, as each may take long.
progress() {
  local line start='  ' end=$'\n'
  [[ -t 2 ]] && start=$'\r\e[K  ' end=
  while IFS= read -r line; do
    printf '%s\n' "$line" >>"$venv/log"
    case $line in
      *Installing\ build\ dependencies:\ started) line='fetching what builds it' ;;
      *Preparing\ editable\ metadata*:\ started) line='reading what it needs' ;;
      Collecting\ *) line=${line#Collecting } line=${line%%[^A-Za-z0-9_.-]*} ;;
      Processing\ *.whl*) line=${line%%.whl*} line=${line##*/} line=${line%%-*} ;;
      *Building\ editable*:\ started) line='building it' ;;
      Installing\ collected*) line='putting all in place' ;;
      *) continue ;;
    esac
    printf '%s%s%s' "$start" "$line" "$end" >&2
  done
  [[ $end ]] || printf '\r\e[K' >&2
}

explain() {
  say "$1. From $venv/log:"
  { grep -i 'error:' "$venv/log" || tail -n 8 "$venv/log"; } | tail -n 8 | sed 's/^ */  /' >&2
  fail "mend that (is there a network?) and start again; remove $venv to begin afresh"
}
