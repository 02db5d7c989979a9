"""What is typed for each picture, and when the screen shows it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Scene:
    """A picture.

    Attributes:
        name: of the file below docs/screens.
        title: a description for people who do not see it.
        arguments: of aoshell.
        before: lines that were run in the process before.
        steps: what is typed, and what the screen shows then (a regular expression).
        rows, columns: of the terminal; empty rows at the end are cut.
    """

    name: str
    title: str
    steps: tuple[tuple[str, str], ...]
    arguments: tuple[str, ...] = ()
    before: tuple[str, ...] = ()
    columns: int = 100
    rows: int = 30


READY = r"Inbox:\d+\]> ?$"
TOKEN = (".load examples/token.lua",)
SQUARES = (
    ".load examples/my_script.lua",
    "MyLuaProcess = spawn(MyModule)",
)
PAID = 'id = Send({ Target = ao.id, Action = "Transfer", Recipient = Account, Quantity = "250" })'
TYPED = 'Send({ Target = MyLuaProcess, Action = "Calculate", Value = "7" })'
SCENES = (
    Scene(
        "first-session",
        "A first session: a file is loaded, a process made of it, and a message sent to it",
        (
            (f"{SQUARES[0]}\r", r"MyModule = .*\n(.*\n)*.*" + READY),
            (f"{SQUARES[1]}\r", r"spawn\(MyModule\)\n(.*\n)*.*" + READY),
            (
                f"{TYPED}\r",
                r"Data = Result: 49\n(.*\n)*.*Inbox:2" + READY.removeprefix("Inbox:\\d+"),
            ),
            ("Inbox[#Inbox].Data\r", r"^Result: 49\n(.*\n)*.*" + READY),
        ),
        rows=24,
    ),
    Scene(
        "completion",
        "Tab offers the names that the process has, each with its arguments",
        ((".names\r", r"[1-9]\d* names"), ("\x0cHandlers.\t", r"evaluate +\(msg")),
        arguments=("desk",),
        rows=16,
    ),
    Scene(
        "signature",
        "Inside a call the line below shows its signature",
        (("msg.reply({", r"^msg\.reply\(\{Data"),),
        arguments=("desk",),
        before=TOKEN,
        rows=12,
    ),
    Scene(
        "error",
        "An error shows the line that it is in",
        (
            (
                "function total(list)\rlocal sum = 0\r"
                "for _, one in ipairs(list) do\rsum = sum + one.amount\rend\r"
                "return sum\rend print(total({ { amount = 1 }, { Amount = 2 } }))\r",
                r"│ +\^\n(.*\n)*.*" + READY,
            ),
        ),
        arguments=("desk",),
        before=TOKEN,
        rows=20,
    ),
    Scene(
        "trace",
        "What a line caused, across processes",
        (
            (f"{PAID}\r", r"Credit-Notice(.*\n)*.*" + READY),
            (".trace\r", r"\.trace\n(.*\n)*.*Credit-Notice(.*\n)*.*" + READY),
        ),
        arguments=("bank",),
        before=(*TOKEN, 'Account = spawn("aos")'),
        rows=26,
    ),
    Scene(
        "tests",
        "Tests of handlers",
        ((r"", r"passed in"),),
        arguments=("test", "examples/testing"),
        rows=14,
    ),
)
