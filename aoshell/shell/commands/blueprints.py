"""Ready-made code for a process: .load-blueprint, .update."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from aoshell.blueprints import (
    SHIPPED,
    BlueprintFacts,
    BlueprintPins,
    blueprint_names,
    blueprint_path,
    describe_changes,
)
from aoshell.bounded.files import path_of
from aoshell.errors import AoError, UnsupportedError
from aoshell.protocol.message import text
from aoshell.shell.attached.questions import query
from aoshell.shell.attached.session import Session
from aoshell.shell.code.bundle import bundle, refuse_unloadable
from aoshell.shell.commands import command, usage_error
from aoshell.shell.commands.grammar import Given
from aoshell.shell.commands.processes import local_verbs
from aoshell.shell.outcome import CommandOutput
from aoshell.shell.table import Table
from aoshell.shell.view.text import format_size

_VERSION = """
local known, environment = pcall(require, ".environment")
return JSON.encode({ environment = known and tostring(environment) or "" })
"""


def _folders() -> tuple[Path, BlueprintPins]:
    """The folder of the user's blueprints, and what was loaded before."""
    from aoshell.home.folders import Settings

    settings = Settings.find()
    return settings.config / "blueprints", BlueprintPins(settings.state / "blueprints.json")


@command("load-blueprint")
async def load_blueprint(session: Session, given: Given) -> CommandOutput:
    """Load ready-made handlers into the attached process; without a name, list all blueprints.

    A NAME is a file in blueprints/ of the config folder, or token, chatroom, voting or staking. The
    handlers are shown first; --show shows the whole text and loads nothing. If the program under a
    name has changed since it was loaded last, it asks first; a script says --yes.
    """
    reference = given["BLUEPRINT|FILE"]
    shows, sure = given.has("--show"), given.has("--yes")
    if (shows or sure) and not reference:
        raise usage_error("load-blueprint", "BLUEPRINT or FILE is missing")
    folder, pins = _folders()
    if not reference:
        return _listed(folder, pins)
    name, path = _found(reference, folder)
    program = bundle(path)
    refuse_unloadable(program)
    facts = BlueprintFacts.of(program.source)
    origin = "comes with aoshell" if path.parent == SHIPPED else str(path)
    value = {"name": name, "origin": origin, **asdict(facts)}
    if shows:
        code = "\n".join(program.files.values()).rstrip("\n")
        return CommandOutput(value, text=code, verbatim=True)
    session.front.feed("\n".join((_summary(name, origin, facts), *program.program.notes)))
    await _agree(session, name, pins.get(name), facts, sure)
    session.journal.files[facts.hash] = path
    answer = await session.evaluate(text(program.source), program.files, shown="")
    if answer.ok:
        pins.put(name, facts)
    return CommandOutput(value, answer=answer, ok=answer.ok)


def _found(reference: str, folder: Path) -> tuple[str, Path]:
    """The name under which it is remembered, and its file."""
    if "/" in reference or reference.endswith(".lua"):
        path = path_of(reference).absolute()
        return str(path), path
    return reference, blueprint_path(reference, folder)


def _summary(name: str, origin: str, facts: BlueprintFacts) -> str:
    return (
        f"{name}: {format_size(facts.size)}, {origin}\n"
        f"  hash      {facts.hash}\n"
        f"  handlers  {', '.join(facts.handlers) or 'none that its text names'}"
    )


async def _agree(
    session: Session, name: str, before: BlueprintFacts | None, now: BlueprintFacts, sure: bool
) -> None:
    """Ask if the program under a name has changed. Raises AoError: nobody agreed."""
    if before is None or before.hash == now.hash:
        return
    changed = [f"{name} is not what was loaded before:", *describe_changes(before, now)]
    session.front.feed("\n  ".join(changed))
    if not sure and not await session.front.confirm("Load it all the same? [y/N] "):
        raise AoError(
            f"{name} has changed since it was loaded ({before.hash} is now {now.hash});"
            " nothing was loaded",
            stage="blueprint",
            hint=f".load-blueprint {name} --show shows it, --yes loads it",
        )


def _listed(folder: Path, pins: BlueprintPins) -> CommandOutput:
    rows, value = [], []
    for name in sorted(blueprint_names(folder)):
        path = blueprint_path(name, folder)
        facts = BlueprintFacts.of(bundle(path).source)
        before = pins.get(name)
        state = "-" if before is None else "loaded" if before.hash == facts.hash else "changed"
        origin = "aoshell" if path.parent == SHIPPED else "yours"
        rows.append((name, origin, state, ", ".join(facts.handlers)))
        value.append({"name": name, "origin": origin, "state": state, **asdict(facts)})
    return CommandOutput(value, table=Table(("NAME", "FROM", "STATE", "HANDLERS"), tuple(rows)))


@command("update")
async def update(session: Session, _: Given) -> CommandOutput:
    """Move the attached process to the newest environment, by a message in its log.

    Its state and handlers stay. What scripts took from the environment before (functions, .bint,
    .crypto) stays as it was.
    """
    local_verbs(session)
    from aoshell.sandbox import environment

    sources = environment.read_sources()
    newest, before = environment.version(sources), await _version(session)
    value = {"before": before, "environment": newest}
    if before == newest:
        return CommandOutput(value, text=f"it already has the newest environment, {newest}")
    answer = await session.evaluate(text(environment.update_code(sources)), shown="")
    return CommandOutput(value, answer=answer, ok=answer.ok)


async def _version(session: Session) -> str:
    found = await query(session, _VERSION)
    if isinstance(found, dict) and found.get("environment"):
        return str(found["environment"])
    raise UnsupportedError(
        "this process cannot be moved: its module has an environment of its own, or it was made"
        " before .update existed",
        hint="make a new process, and load the files there",
    )
