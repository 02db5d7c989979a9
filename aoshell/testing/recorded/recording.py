"""Writes a session as a Lua test that does the same and expects the same answers."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from aoshell.lua.references import find_references, replaced
from aoshell.nodes.values import LogEntry
from aoshell.protocol.message import Message, Outgoing, Result, text
from aoshell.shell.attached.journal import Deed
from aoshell.shell.attached.past import Past, Recorded
from aoshell.shell.view.errors_view import split_error
from aoshell.shell.view.text import without_colours
from aoshell.testing.recorded.cast import GIVEN, OWN, Cast, is_mock, is_root, message_texts, slot_of
from aoshell.testing.recorded.code_files import CodeFiles
from aoshell.testing.recorded.writing import ADDRESS, VOLATILE, lua_comment, lua_pattern, lua_string

# Fields of a message in a test: tags with these names are given as a list.
_FIELDS = ("Data", "Tags", "Target", "Anchor", "From", "Owner")
_STOPPED = ("time", "gas", "crash")  # outcomes that depend on limits or on the machine


def record(
    entries: Iterable[LogEntry],
    *,
    name: str = "a recorded session",
    sources: Mapping[str, str] | None = None,
) -> str:
    """A Lua test that sends the messages from outside again, and expects the same results.

    Messages between processes follow from these and are not repeated. Text with ids or times is not
    compared if the test cannot know these.

    Args:
        entries: of one or more processes; messages without a result are left out.
        name: of the test.
        sources: process id → file with its handlers; other processes have only aos.
    """
    return record_session(Past(list(entries)), name=name, sources=sources).test


def record_session(
    past: Past, *, name: str = "a recorded session", sources: Mapping[str, str] | None = None
) -> Recorded:
    """The same, with the session's files, identities and dot commands, which a shell knows.

    Raises:
        AoError: there are more processes, modules and identities than a test can name.
    """
    writer = _Writer(past, dict(sources or {}))
    writer.write()
    body = "\n".join(f"  {line}" if line else "" for line in writer.lines)
    test = f"test({lua_string(name)}, function(t)\n{body}\nend)\n"
    return Recorded(test, writer.files.beside, list(writer.lost))


@dataclass(slots=True)
class _Writer:
    past: Past
    sources: dict[str, str]
    lines: list[str] = field(default_factory=list)
    cast: Cast = field(init=False)
    lost: dict[str, None] = field(default_factory=dict)
    files: CodeFiles = field(init=False)
    wanted: set[str] = field(default_factory=set)  # ids of messages that later ones name
    ticks: dict[str, int] = field(default_factory=dict)
    left_out: dict[str, list[int]] = field(default_factory=dict)  # process id → its slots
    ends: dict[str, LogEntry] = field(
        default_factory=dict
    )  # by the message whose handling each ended
    orders: list[int] = field(default_factory=list)  # of all steps of the test

    def __post_init__(self) -> None:
        self.cast, self.files = Cast(self.past, self.lines), CodeFiles(self.past)

    def write(self) -> None:
        """Write the whole test, in order."""
        entries = [entry for entry in self.past.entries if entry.result is not None]
        begun = self._begun()
        steps: list[tuple[int, int, LogEntry | Deed]] = []
        for entry in entries:
            place = entry.message.assignment
            assert place is not None
            if place.order > begun.get(place.process, -1) and (is_root(entry) or place.tick):
                steps.append((place.order, 0, entry))
        roots = [step[2] for step in steps if isinstance(step[2], LogEntry) and is_root(step[2])]
        self.cast.declare_people(roots)
        self._wanted(roots)
        self._modules(entries, roots)
        steps += [(deed.order, 1, deed) for deed in self.past.journal.deeds]
        self.orders = sorted(order for order, _, _ in steps)
        for entry in reversed(entries):
            self.ends |= dict.fromkeys(entry.result.resumed if entry.result else (), entry)
        for _, _, step in sorted(steps, key=lambda step: step[:2]):
            if isinstance(step, Deed):
                self._deed(step)
            else:
                self._entry(step)

    def _begun(self) -> dict[str, int]:
        """The processes that were imported with a log, and the order of its last message."""
        made = ("import", "fork")
        return {one.process: one.order for one in self.past.journal.deeds if one.verb in made}

    # Before the first message ---------------------------------------------------------------------

    def _wanted(self, roots: list[LogEntry]) -> None:
        """Find the messages that later ones name by their ids."""
        ids = {entry.message.id for entry in roots if slot_of(entry) != 0}
        for entry in roots:
            for value in message_texts(entry.message):
                self.wanted |= ids.intersection(ADDRESS.findall(value))

    def _modules(self, entries: list[LogEntry], roots: list[LogEntry]) -> None:
        """Publish the modules of spawned processes that the session itself does not publish."""
        made = {deed.source for deed in self.past.journal.deeds if deed.verb == "publish"}
        names = {deed.name for deed in self.past.journal.deeds if deed.verb == "publish"}
        loaded = {id for one in roots if (id := self.files.loaded_module(one.message.data))}
        typed = {
            id
            for one in roots
            if not self.files.loaded_module(one.message.data)
            for value in message_texts(one.message)
            for id in ADDRESS.findall(value)
        }
        sent = (one for entry in entries if entry.result for one in entry.result.messages)
        wanted = {
            tag.value for one in sent if one.spawn for tag in one.tags if tag.name == "Module"
        }
        for reference in sorted(wanted):
            module = self.past.modules.get(reference)
            if module is None or module.kind == "environment" or module.id in made:
                continue
            if reference != module.id and reference not in names:
                self._publish(module.id, reference)
            elif module.id in typed or (reference == module.id and module.id not in loaded):
                self._publish(module.id, "")

    def _publish(self, module: str, name: str) -> None:
        found = next((one for one in self.past.modules.values() if one.id == module), None)
        file = self.files.file_of(module, found.data if found else None)
        if not file:
            self._leave_out(f"the module {name or module}, whose code is no longer there")
            return
        given = f"{lua_string(file)}, {lua_string(name)}" if name else lua_string(file)
        if module in self.cast.names.of:
            self.lines.append(f"t:publish({given})")
            return
        local = self.cast.new_variable("m1")
        self.lines.append(f"local {local} = t:publish({given})")
        self.cast.names.of[module] = local

    # Commands of the shell ------------------------------------------------------------------------

    def _deed(self, deed: Deed) -> None:
        match deed.verb:
            case "publish":
                self._publish(deed.source, deed.name)
            case "import":
                self._import(deed)
            case "fork" if deed.source in self.cast.bound:
                self._fork(deed)
            case "pause" | "resume" if deed.process in self.cast.bound:
                self.lines.append(f"{self.cast.bound[deed.process]}:{deed.verb}()")
            case "step" if deed.process in self.cast.bound:
                self.lines.append(f"{self.cast.bound[deed.process]}:step({deed.number})")
            case "advance":
                self._advance(deed.number)
            case "":
                self._leave_out(deed.description)

    def _import(self, deed: Deed) -> None:
        assert deed.file is not None
        file = self.files.path(deed.file) or self.files.copy(deed.file)
        if not file:
            self._leave_out(f"the import of {deed.file}, which can no longer be read")
            return
        known = [
            (one, self.cast.names.of[one]) for one in self.past.people if one in self.cast.names.of
        ]
        who = ", ".join(
            f"[{lua_string(one)}] = {name.removesuffix('.address')}" for one, name in known
        )
        given = f"{{ file = {lua_string(file)}, names = {{ {who} }} }}"
        self.cast.bind(deed.process, f"t:import {given}")

    def _fork(self, deed: Deed) -> None:
        slot = deed.number
        slot -= sum(one <= slot for one in self.left_out.get(deed.source, ()))
        at = str(slot) if deed.number >= 0 else "nil"
        self.cast.bind(
            deed.process, f"{self.cast.bound[deed.source]}:fork({at}, {lua_string(deed.name)})"
        )

    def _advance(self, milliseconds: int) -> None:
        if any(self._schedules(process) for process in self.past.processes):
            self._leave_out(
                "how .warp moved the clock: tick() sends cron messages, and os.time() does not move"
            )
        else:
            self.lines.append(f't:advance("{milliseconds}ms")')

    def _leave_out(self, what: str) -> None:
        self.lost[what] = None
        self.lines.append(lua_comment(f"not here: {what}"))

    # Messages -------------------------------------------------------------------------------------

    def _entry(self, entry: LogEntry) -> None:
        message, result, where = entry.message, entry.result, entry.message.assignment
        assert result is not None and where is not None
        self.cast.declare_spawned(entry)
        if where.tick:
            self._tick(where.process)
        elif where.slot == 0:
            self._spawn(where.process, message)
        else:
            process = self._process(where.process, message)
            if result.outcome in _STOPPED:
                self.left_out.setdefault(where.process, []).append(where.slot)
                what = text(message.data).partition("\n")[0] or message.tag("Action")
                self.lines.append(
                    lua_comment(f"not here: it was stopped ({result.outcome}): {what}")
                )
            elif self.cast.is_line(message, where.process):
                self._eval(process, message, result)
            else:
                self._send(process, message, result)

    def _tick(self, process: str) -> None:
        """A cron message. `tick` sends one of each schedule, so one call covers all schedules."""
        if process not in self.cast.bound:
            return
        schedules = self._schedules(process) or 1
        self.ticks[process] = self.ticks.get(process, 0) + 1
        if schedules > 1:
            self.lost[f"the order of {schedules} schedules: their messages come together"] = None
        if self.ticks[process] % schedules == 0:
            self.lines.append(f"{self.cast.bound[process]}:tick()")

    def _schedules(self, process: str) -> int:
        """How many cron schedules the definition of a process has."""
        return sum(
            tag.name == "Cron-Interval"
            for entry in self.past.entries
            if slot_of(entry) == 0 and _is_of(entry, process)
            for tag in entry.message.tags
        )

    def _spawn(self, process: str, message: Message) -> None:
        owner = message.owner
        module = message.tag("Module")
        found = self.past.modules.get(module)
        fields = []
        if process in self.sources:
            fields.append(f"file = {lua_string(self.sources[process])}")
        elif found is not None and found.kind != "environment":
            fields.append(f"file = {lua_string(self.files.file_of(found.id, found.data))}")
        if message.tag("Name"):
            fields.append(f"name = {lua_string(message.tag('Name'))}")
        if is_mock(message):
            given = "{ " + ", ".join(fields) + " }"
            self.cast.bind(process, f"t:mock({lua_string(process)}, {given})", owner=owner)
            return
        tags = [(tag.name, tag.value) for tag in message.tags if tag.name not in GIVEN]
        if tags:
            fields.append(f"tags = {self._list(tags)}")
        if message.data:
            fields.append(f"data = {self.cast.names.code(text(message.data))}")
        maker = self.cast.by(owner) or "t"
        self.cast.bind(process, f"{maker}:spawn {{ {', '.join(fields)} }}", owner=owner)

    def _process(self, process: str, message: Message) -> str:
        """The variable that holds a process."""
        if process not in self.cast.bound:  # its first message is not among the entries
            self._spawn(process, message)
        return self.cast.bound[process]

    # Lines and messages ---------------------------------------------------------------------------

    def _eval(self, process: str, message: Message, result: Result) -> None:
        load = self.files.find_load(message.data)
        if load and not result.ok:
            where = message.assignment
            assert where is not None
            self.left_out.setdefault(where.process, []).append(where.slot)
            why = split_error(result.error)[1].partition("\n")[0]
            self.lines.append(
                lua_comment(f"{load.file} did not load, which left all as it was: {why}")
            )
            return
        code = self.cast.names.code(self._typed(message))
        if not result.ok or message.id in self.wanted:  # sent as a message, which has no `@name`
            code = self.cast.names.code(text(message.data))
        if not result.ok:
            call = f'{process}:send {{ Action = "Eval", Data = {code} }}'
            self.lines.append(f"t:fails({call}{_reason(result)})")
            return
        if message.id in self.wanted:
            tags = f'{{ Action = "Eval", Data = {code}, ["Last-Value"] = "_" }}'
            self._keep(message, f"t:ok({process}:send {tags})")
            return
        call = (
            f"{process}:{load.verb}({lua_string(load.file)})" if load else f"{process}:eval({code})"
        )
        shown = self._output(message, result)
        output = self.cast.names.known(shown or "")
        # Tables are printed in the order of their keys, and addresses differ in the test.
        if len(set(ADDRESS.findall(shown or "")) & self.cast.names.of.keys()) > 1:
            output = ""
        if not output or shown is None or _CHANCE.search(text(message.data)):
            self.lines.append(call)
        else:
            self.lines.append(f"t:equal({call}, {output})")

    def _typed(self, message: Message) -> str:
        """A line as it was typed, if its `@name`s mean the same in the test."""
        line, ids = self.past.journal.typed.get(message.id, ""), self.cast.people_and_processes()
        names = {one.name for one in find_references(line)}
        if names <= ids.keys() and replaced(line, ids.__getitem__) == text(message.data):
            return line
        return text(message.data)

    def _output(self, message: Message, result: Result) -> str | None:
        """The output of a line; None if it ended after the test's next step had begun."""
        if not result.suspended:
            return without_colours(result.output)
        end = self.ends.get(message.id)
        begun, ended = message.assignment, end and end.message.assignment
        if not (end and end.result and end.result.ok and begun and ended):
            return None
        if bisect_right(self.orders, begun.order) != bisect_right(self.orders, ended.order):
            return None
        before, output = result.output, end.result.output
        return without_colours(f"{before}\n{output}".strip("\n") if before else output)

    def _keep(self, message: Message, call: str) -> str:
        """Store the answer to a message in a variable."""
        if message.id not in self.wanted:
            begin = "" if "result =" in "".join(self.lines) else "local "
            self.lines.append(f"{begin}result = {call}")
            return "result"
        local = self.cast.new_variable("r1")
        self.lines.append(f"local {local} = {call}")
        self.cast.names.of[message.id] = f"{local}.id"
        return local

    def _send(self, process: str, message: Message, result: Result) -> None:
        by = self.cast.by(message.owner)
        sent = self._sent(message)
        call = f"{by}:send({process}, {sent})" if by else f"{process}:send {sent}"
        if not result.ok:
            self.lines.append(f"t:fails({call}{_reason(result)})")
            return
        mails = [mail for mail in result.messages if not mail.spawn]
        if not mails and message.id not in self.wanted:
            self.lines.append(f"t:ok({call})")
            return
        local = self._keep(message, f"t:ok({call})")
        self.lines += [f"t:sent({local}, {self._mail(mail)})" for mail in mails]

    def _sent(self, message: Message) -> str:
        """A message as a test sends it: tags as fields, if all can be fields."""
        tags = [(tag.name, tag.value) for tag in message.tags if tag.name not in OWN]
        data = [("Data", text(message.data))] if message.data else []
        names = [name for name, _ in tags]
        if len(set(names)) == len(names) and not set(names) & set(_FIELDS):
            return self.cast.names.table([*tags, *data], any_value=True)
        fields = [f"Tags = {self._list(tags)}"]
        fields += [f"Data = {self.cast.names.code(value)}" for _, value in data]
        return f"{{ {', '.join(fields)} }}"

    def _list(self, tags: list[tuple[str, str]]) -> str:
        """Tags as a list, which keeps their order and repeated names."""
        written = [
            f"{{ name = {lua_string(name)}, value = {self.cast.names.expression(value)} }}"
            for name, value in tags
        ]
        return f"{{ {', '.join(written)} }}"

    def _mail(self, mail: Outgoing) -> str:
        tags = [(tag.name, tag.value) for tag in mail.tags if tag.name not in OWN]
        stable = [(name, value) for name, value in tags if name not in ("X-Reference",)]
        data = [("Data", text(mail.data))] if mail.data else []
        return self.cast.names.table([("Target", mail.target), *stable, *data], any_value=False)


# Values that differ in a test.
_CHANCE = re.compile(r"\bmath\.random\b|\bos\.(?:time|date|clock)\b|\bTimestamp\b|\bBlock-Height\b")


def _reason(result: Result) -> str:
    """The argument with a pattern for the reason of a failure, "" if the reason may differ."""
    reason = split_error(result.error)[1].partition("\n")[0]
    reason = re.sub(r"^.*?:\d+: ", "", reason)
    if not reason or VOLATILE.search(reason) or result.outcome != "error":
        return ""
    return f", {lua_pattern(reason)}"


def _is_of(entry: LogEntry, process: str) -> bool:
    return entry.message.assignment is not None and entry.message.assignment.process == process
