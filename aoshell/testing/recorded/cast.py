"""The processes and identities of a recorded test, and their Lua variables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from aoshell.errors import AoError
from aoshell.nodes.values import LogEntry
from aoshell.protocol.message import Message, text
from aoshell.shell.attached.past import Past
from aoshell.testing.recorded.writing import ADDRESS, AddressNames, lua_string, unused_name
from aoshell.testing.testbed.answers import ENVELOPE
from aoshell.testing.testbed.identity import OWNER

LOCALS = 180  # most variables of a test; Lua allows 200 in a function
OWN = ENVELOPE | {"SDK"}
# Tags of a process's definition that `t:spawn` sets by itself.
GIVEN = OWN | {"Module", "Name", "Authority", "Scheduler"}
_ME = "me"  # the identity that the shell was started with


@dataclass(slots=True)
class Cast:
    """The processes and identities of one record.

    Attributes:
        lines: of the test; the declarations of variables are added to them.
        bound: process id → its variable.
        owners: process id → its owner's address.
    """

    past: Past
    lines: list[str]
    names: AddressNames = field(default_factory=AddressNames)
    bound: dict[str, str] = field(default_factory=dict)
    owners: dict[str, str] = field(default_factory=dict)
    _taken: set[str] = field(default_factory=lambda: {"t", "result"})
    _born: dict[str, int] = field(default_factory=dict)  # process id → order of its first message
    _named: dict[str, str] = field(default_factory=dict)  # process id → name that it was made with

    def __post_init__(self) -> None:
        for entry in self.past.entries:
            place = entry.message.assignment
            if place is not None and place.slot == 0 and not place.tick:
                self._born[place.process] = place.order
                self._named[place.process] = entry.message.tag("Name")

    def declare_people(self, roots: list[LogEntry]) -> None:
        """Declare the identities that send or are named: the shell's own is the owner, others keep
        names."""
        known = self.past.people
        senders = dict.fromkeys(one.message.owner for one in roots if not is_mock(one.message))
        texts = (text for one in roots for text in message_texts(one.message))
        named = (id for text in texts for id in ADDRESS.findall(text))
        found = senders | dict.fromkeys(id for id in named if id in known)
        definitions = (
            one.message.owner for one in roots if slot_of(one) == 0 and not is_mock(one.message)
        )
        own = next((address for address in found if known.get(address) == _ME), None)
        if own is None:
            own = next((one for one in definitions if one not in known), next(iter(senders), ""))
            own = "" if own in known else own
        self.names.of[own] = "t.owner.address"
        found.pop(own, None)
        number = 0
        for address in found:
            number += address not in known
            name = known.get(address) or f"someone {number}"
            local = self.new_variable(name.replace(" ", ""))
            self.names.of[address] = f"{local}.address"
            who = f"{name} of the shell" if name == OWNER else name
            self.lines.append(f"local {local} = t:as({lua_string(who)})")

    def declare_spawned(self, entry: LogEntry) -> None:
        """Declare the processes in an entry that other processes have spawned."""
        place = entry.message.assignment
        assert place is not None and entry.result is not None
        texts = [*message_texts(entry.message), entry.result.output]
        for one in entry.result.messages:
            texts += [one.target, text(one.data), *(tag.value for tag in one.tags)]
        named = [id for one in texts for id in ADDRESS.findall(one)]
        for id in dict.fromkeys([place.process, *named]):
            if id not in self.bound and self._born.get(id, place.order) < place.order:
                self._declare_child(id)

    def _declare_child(self, id: str) -> None:
        """Declare a process that another one has spawned, after its parent."""
        about = self.past.processes.get(id)
        if about is None or about.owner not in self.past.processes:
            return
        if about.owner not in self.bound:
            self._declare_child(about.owner)
        if about.owner in self.bound:
            parent = about.owner
            children = [one for one, it in self.past.processes.items() if it.owner == parent]
            place = children.index(id) + 1
            self.bind(id, f"{self.bound[parent]}:spawned()[{place}]", owner=parent)

    def people_and_processes(self) -> dict[str, str]:
        """Ids by the names that `@name` finds both at the prompt and in the test."""
        found = {
            id: about.name
            for id, about in self.past.processes.items()
            if id in self.bound and about.name and about.name == self._named.get(id)
        }
        found |= {id: name for id, name in self.past.people.items() if id in self.names.of}
        count = Counter(found.values())
        return {name: id for id, name in found.items() if count[name] == 1}

    def is_line(self, message: Message, process: str) -> bool:
        """Whether a message is a line of Lua of the process's owner."""
        return message.tag("Action") == "Eval" and message.owner == self.owners.get(process, "")

    def bind(self, process: str, made: str, *, owner: str | None = None) -> None:
        """Declare a variable for a process, with the Lua expression that makes it."""
        about = self.past.processes.get(process)
        self.owners[process] = owner if owner is not None else about.owner if about else ""
        local = self.new_variable("p1")
        self.lines.append(f"local {local} = {made}")
        self.bound[process] = local
        self.names.of[process] = f"{local}.id"

    def new_variable(self, name: str) -> str:
        """A new variable with a name like this; if `p1` is taken, `p2` and so on."""
        stem = name.rstrip("0123456789")
        numbers = (f"{stem}{number}" for number in range(1, LOCALS + 1))
        free = next((one for one in numbers if one not in self._taken), "")
        local = free if name == f"{stem}1" and free else unused_name(name, self._taken)
        self._taken.add(local)
        if len(self._taken) > LOCALS:
            raise AoError(
                f"a test has room for {LOCALS} processes, modules and identities",
                stage="record",
                hint="record a shorter session",
            )
        return local

    def by(self, address: str) -> str:
        """The variable of the identity for a wallet, "" for the owner of processes."""
        name = self.names.of[address].removesuffix(".address")
        return "" if name == "t.owner" else name


def message_texts(message: Message) -> Iterator[str]:
    """The texts of a message: its data, and the values of its tags."""
    yield text(message.data)
    for tag in message.tags:
        if tag.name not in GIVEN:
            yield tag.value


def is_root(entry: LogEntry) -> bool:
    """Whether it was sent from outside, and computed."""
    message, where = entry.message, entry.message.assignment
    computed = where is not None and not where.tick and entry.result is not None
    return computed and message.from_ == message.owner


def is_mock(message: Message) -> bool:
    return message.tag("Mock") == "true" and message.tag("Type") == "Process"


def slot_of(entry: LogEntry) -> int:
    """The slot of an entry in its process's log, -1 if unknown."""
    return entry.message.assignment.slot if entry.message.assignment else -1
