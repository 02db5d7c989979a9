"""The functions of a process: how each is called, and what it does.

One table for `.help NAME`, signatures below the prompt, and completion. Optional arguments are in
brackets, the result after `→`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache


@dataclass(frozen=True, slots=True)
class ReferenceEntry:
    """A function, or a table if `call` is "".

    Attributes:
        name: its full name: `ao.send`, `string.format`.
        call: its arguments and what it returns.
        help: the first sentence is the summary.
    """

    name: str
    call: str
    help: str

    @property
    def signature(self) -> str:
        return self.name + self.call

    @property
    def summary(self) -> str:
        return self.help.split(". ")[0].rstrip(".")


_MESSAGE = "{Target, Action, Data, Tags, …}"
_HANDLER = "(name, pattern, function(msg), [runs])"

_TEXTS: dict[str, tuple[str, str]] = {
    # Messages
    "Send": (
        f"({_MESSAGE}) → sent",
        "Put a message into the outbox. It is sent if the message being handled succeeds."
        " Fields other than Target, Data, Tags become tags. `.receive()` of what it returns waits"
        " for the answer; `.onReply(function(msg))` handles it.",
    ),
    "ao.send": (
        f"({_MESSAGE}) → message",
        "Put a message into the outbox, as Send does. It returns the message itself, with"
        " `.receive([target])` to wait for the answer and `.onReply(function(msg))` to handle it.",
    ),
    "Spawn": (
        "([module], {Data, Tags, …}) → spawned",
        "Ask the network for a new process. `.receive().Process` of what it returns waits for its"
        " id. Without a module the process gets this one's own.",
    ),
    "ao.spawn": (
        "(module, {Data, Tags, …}) → spawned",
        "Ask the network for a new process, as Spawn does.",
    ),
    "spawn": (
        "(module, [tags]) → id",
        "Make a process and wait for its id. Only processes of the built-in node have it; elsewhere"
        " Spawn(…).receive().Process is the same.",
    ),
    "Receive": (
        "(pattern) → msg",
        "Wait for a message that fits, and return it. Other messages are handled meanwhile;"
        " .waits lists what waits.",
    ),
    "Assign": (
        "({Processes, Message}) → text",
        "Have messages that are for others assigned to processes, too.",
    ),
    "ao.assign": (
        "({Processes, Message})",
        "Have messages that are for others assigned to processes, too.",
    ),
    "ao.log": ("(text)", "Add a text to the output of the message being handled."),
    "ao.isTrusted": (
        "(msg) → boolean",
        "Whether a message comes from a wallet, or from an authority that this process trusts."
        " `ao.authorities` lists them.",
    ),
    "ao.clone": ("(table) → table", "A copy of a table, and of the tables in it."),
    "ao.normalize": ("(msg) → msg", "Set a message's tags as fields of it, too."),
    "ao.sanitize": ("(msg) → msg", "A copy of a message without what only the network may set."),
    "ao.result": ("([fields]) → table", "The outbox as it is now; for the environment itself."),
    "ao.clearOutbox": ("()", "Forget all that was put into the outbox."),
    "ao.addAssignable": (
        "([name], pattern)",
        "Accept assigned messages that fit, although they are for others.",
    ),
    "ao.removeAssignable": ("(name | index)", "Remove a pattern of ao.addAssignable."),
    "ao.isAssignment": ("(msg) → boolean", "Whether a message was for another process."),
    "ao.isAssignable": ("(msg) → boolean", "Whether an assigned message would be accepted."),
    "ao.id": ("", "The id of this process."),
    "ao.env": ("", "The definition of this process and its module."),
    "ao.authorities": ("", "The addresses whose pushed messages this process trusts."),
    "ao": ("", "What a process and the network know of each other."),
    # Handlers
    "Handlers": ("", "The handlers of this process. `.list` holds them in order."),
    "Handlers.add": (
        _HANDLER,
        "Add a handler after the others, or replace the one of this name. A pattern is an Action,"
        ' a table of tags ({Action = "Buy", Quantity = "%d+"}, "_" for any value), or a function'
        " of the message. With two arguments the name is the Action. A handler whose pattern fits"
        ' ends the search; a pattern function returning "continue" does not.',
    ),
    "Handlers.append": (_HANDLER, "Add a handler after the others, as Handlers.add does."),
    "Handlers.prepend": (_HANDLER, "Add a handler before the others."),
    "Handlers.once": (
        "([name], pattern, function(msg))",
        "Add a handler before the others that runs once.",
    ),
    "Handlers.before": ("(name).add" + _HANDLER, "Add a handler before another."),
    "Handlers.after": ("(name).add" + _HANDLER, "Add a handler after another."),
    "Handlers.remove": ("(name)", "Remove a handler."),
    "Handlers.receive": ("(pattern) → msg", "Wait for a message that fits, as Receive does."),
    "Handlers.evaluate": ("(msg, env)", "Run the handlers that a message matches."),
    "Handlers.list": ("", "The handlers, in the order in which they are asked."),
    "Handlers.utils": ("", "Patterns and answers that are often needed."),
    "Handlers.utils.hasMatchingTag": (
        "(name, value) → pattern",
        "A pattern for messages whose tag has this value.",
    ),
    "Handlers.utils.hasMatchingTagOf": (
        "(name, values) → pattern",
        "A pattern for messages whose tag has one of these values.",
    ),
    "Handlers.utils.hasMatchingData": (
        "(data) → pattern",
        "A pattern for messages with this Data.",
    ),
    "Handlers.utils.reply": ("(data | fields) → function", "A handler that replies with this."),
    "Handlers.utils.continue": (
        "(pattern) → pattern",
        "A pattern after which the next handlers are asked, too.",
    ),
    # A message in a handler
    "msg.reply": (
        "({Data, Action, Tags, …}) → message",
        "Reply to the sender of a message, or to the address in its Reply-To.",
    ),
    "msg.forward": (
        "(target, [changes]) → nothing",
        "Forward a message; the reply goes to its first sender.",
    ),
    # What a process has
    "Inbox": ("", "The messages that no handler took, the newest last. .inbox lists them."),
    "Owner": ("", "The address whose lines are evaluated here."),
    "Name": ("", "The name of this process."),
    "Errors": ("", "Why messages failed."),
    "Prompt": ("() → text", "The text of the prompt; define it again to change it."),
    "print": ("(…)", "Print values into the output of the message being handled."),
    "require": ("(name) → module", 'Load a module of this process, like require("json").'),
    "Dump": ("(value) → text", "A value as Lua text."),
    "Tab": ("(msg) → table", "The tags of a message by name."),
    # Utils
    "Utils": ("", "Functions on lists and messages."),
    "Utils.map": ("(function(value, key), list) → list", "A list of what the function returns."),
    "Utils.filter": ("(function(value), list) → list", "The values for which it returns true."),
    "Utils.reduce": (
        "(function(sum, value, key), start, list) → value",
        "Combine all values of a list into one.",
    ),
    "Utils.find": ("(function(value), list) → value", "The first value for which it is true."),
    "Utils.includes": ("(value, list) → boolean", "Whether a list holds a value."),
    "Utils.concat": ("(list, list) → list", "Two lists as one."),
    "Utils.reverse": ("(list) → list", "A list in reverse order."),
    "Utils.keys": ("(table) → list", "The keys of a table."),
    "Utils.values": ("(table) → list", "The values of a table."),
    "Utils.prop": ("(name, table) → value", "A field of a table."),
    "Utils.propEq": ("(name, value, table) → boolean", "Whether a field has a value."),
    "Utils.compose": ("(function, …) → function", "A function that calls these, the last first."),
    "Utils.curry": (
        "(function, [count]) → function",
        "A function that takes arguments one by one.",
    ),
    "Utils.matchesSpec": ("(msg, pattern) → boolean | text", "Whether a message fits."),
    "Utils.isArray": ("(value) → boolean", "Whether it is a list."),
    # Modules
    "json": ("", "JSON texts."),
    "json.encode": ("(value) → text", "A value as JSON."),
    "json.decode": ("(text) → value", "The value of a JSON text."),
    "base64": ("", "Base64 texts."),
    "base64.encode": ("(text, [encoder]) → text", "Bytes as base64."),
    "base64.decode": ("(text, [decoder]) → text", "The bytes of a base64 text."),
    # Lua
    "assert": ("(value, [message]) → value", "Raise an error where the value is false."),
    "error": ("(message, [level])", "Fail; the message being handled is undone."),
    "ipairs": ("(list)", "Index and value of each element, in a for."),
    "pairs": ("(table)", "Key and value of each entry, in a for."),
    "next": ("(table, [key]) → key, value", "The entry after a key."),
    "pcall": ("(function, …) → ok, …", "Call a function; an error is returned."),
    "select": ("(n | '#', …)", "The arguments from the n-th on, or how many."),
    "setmetatable": ("(table, metatable) → table", "Set the metatable of a table."),
    "getmetatable": ("(value) → table", "The metatable of a value."),
    "rawget": ("(table, key) → value", "A field, past the metatable."),
    "rawset": ("(table, key, value)", "Set a field, past the metatable."),
    "tonumber": ("(value, [base]) → number", "A text as a number, or nil."),
    "tostring": ("(value) → text", "A value as text."),
    "type": ("(value) → text", "The type of a value."),
    "load": ("(text, [name], [mode], [env]) → function", "Compile Lua."),
    "string.byte": ("(s, [i], [j]) → …", "The bytes of a text from i to j."),
    "string.char": ("(…) → text", "A text of bytes."),
    "string.find": ("(s, pattern, [start], [plain]) → first, last, …", "Where a pattern fits."),
    "string.format": ("(form, …) → text", "Values in the form of %s, %d, %q and so on."),
    "string.gmatch": ("(s, pattern)", "Each place where a pattern fits, in a for."),
    "string.gsub": ("(s, pattern, by, [n]) → text, count", "Replace what fits a pattern."),
    "string.len": ("(s) → number", "The bytes of a text."),
    "string.lower": ("(s) → text", "A text in lower case."),
    "string.match": ("(s, pattern, [start]) → …", "The captures of a pattern."),
    "string.rep": ("(s, n, [separator]) → text", "A text n times."),
    "string.reverse": ("(s) → text", "A text in reverse order."),
    "string.sub": ("(s, i, [j]) → text", "A text from byte i to j; -1 is the last one."),
    "string.upper": ("(s) → text", "A text in upper case."),
    "string.pack": ("(form, …) → text", "Values as bytes, as the form says."),
    "string.unpack": ("(form, s, [start]) → …", "The values that bytes hold, as the form says."),
    "table.concat": ("(list, [separator], [i], [j]) → text", "A list as one text."),
    "table.insert": ("(list, [place], value)", "Put a value into a list."),
    "table.move": ("(from, first, last, at, [to]) → to", "Copy elements."),
    "table.pack": ("(…) → list", "Arguments as a list, `.n` of them."),
    "table.remove": ("(list, [place]) → value", "Take a value out of a list."),
    "table.sort": ("(list, [less])", "Sort a list."),
    "table.unpack": ("(list, [i], [j]) → …", "The elements of a list."),
    "math.abs": ("(x) → number", "A number without its sign."),
    "math.atan2": ("(y, [x]) → number", "The angle of a point; as math.atan."),
    "math.ceil": ("(x) → integer", "A number rounded up."),
    "math.cosh": ("(x) → number", "The hyperbolic cosine."),
    "math.floor": ("(x) → integer", "A number rounded down."),
    "math.fmod": ("(x, y) → number", "The remainder of a division."),
    "math.frexp": ("(x) → part, exponent", "A number as part × 2^exponent, with 0.5 ≤ part < 1."),
    "math.ldexp": ("(part, exponent) → number", "part × 2^exponent."),
    "math.log10": ("(x) → number", "The logarithm to base 10."),
    "math.max": ("(x, …) → number", "The greatest number."),
    "math.min": ("(x, …) → number", "The least number."),
    "math.pow": ("(x, y) → number", "x ^ y."),
    "math.random": (
        "([m], [n]) → number",
        "A number from m to n; the same wherever the log is replayed.",
    ),
    "math.sinh": ("(x) → number", "The hyperbolic sine."),
    "math.sqrt": ("(x) → number", "The square root."),
    "math.tanh": ("(x) → number", "The hyperbolic tangent."),
    "math.tointeger": ("(x) → integer", "A number as an integer, or nil."),
    "math.type": ("(x) → text", '"integer" or "float".'),
    "os.time": ("([table]) → integer", "The time of the message being handled, in milliseconds."),
    "os.date": ("([form], [time])", "A time as text."),
    "utf8.char": ("(…) → text", "A text of code points."),
    "utf8.len": ("(s, [i], [j]) → number", "The characters of a text."),
    "utf8.codes": ("(s)", "Place and code point of each character, in a for."),
    "coroutine.create": ("(function) → thread", "A coroutine."),
    "coroutine.resume": ("(thread, …) → ok, …", "Resume a coroutine."),
    "coroutine.wrap": ("(function) → function", "A coroutine as a function."),
    "coroutine.yield": ("(…) → …", "Suspend a coroutine until it is resumed."),
}


@cache
def entries() -> dict[str, ReferenceEntry]:
    """All entries by name."""
    return {name: ReferenceEntry(name, *texts) for name, texts in _TEXTS.items()}


def find(name: str) -> ReferenceEntry | None:
    """The entry of a name, which may have `:` or `()`; None if there is none."""
    return entries().get(name.strip().removesuffix("()").replace(":", "."))


def below(path: str) -> list[str]:
    """The names below a path, without it; for "" the globals."""
    begin = f"{path}." if path else ""
    found = (name[len(begin) :] for name in entries() if name.startswith(begin))
    return [name for name in found if "." not in name and name != "msg"] + _roots(path)


def _roots(path: str) -> list[str]:
    """Libraries of Lua, which have no entry of their own."""
    return [] if path else ["string", "table", "math", "os", "utf8", "coroutine"]
