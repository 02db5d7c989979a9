"""The host's part of C++ exceptions, for modules built with emscripten (`-fexceptions`).

The module keeps each exception object in its memory, with a header before it. The host keeps the
list of caught exceptions, and finds the clause that catches one. The adapter (`emscripten`) throws;
it calls the host here first. Sources: Itanium C++ ABI; emscripten's header
`__cxa_exception` (reference count, type, destructor, caught, rethrown, adjusted pointer).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aoshell.sandbox.wasm.guest import Guest, GuestError

# Imports that throw, and the host's function that the adapter calls before it does.
THROWERS = {
    "__cxa_throw": "note_cxa_throw",
    "__cxa_rethrow": "note_cxa_rethrow",
    "__resumeException": "note_resumeException",
}

MAX_CAUGHT = 100_000  # exceptions that are caught at once


def host_functions(guest: Guest) -> dict[str, Callable[..., Any]]:
    """The host's functions by import name; see `answers.host_functions`."""
    host = _Exceptions(guest)
    # The number in the name is that of clauses plus two, for arguments that older versions had.
    find = {f"cxa_find_matching_catch_{2 + count}": host.find for count in range(33)}
    return find | {
        "note_cxa_throw": host.throw,
        "note_cxa_rethrow": host.rethrow,
        "note_resumeException": host.resume,
        "cxa_begin_catch": host.begin_catch,
        "cxa_end_catch": host.end_catch,
        "cxa_uncaught_exceptions": lambda: host.uncaught,
        "cxa_current_primary_exception": host.current,
        "llvm_eh_typeid_for": _i32,
        # Only for modules without `invoke_*`, in which nothing could catch: see `in_adapter`.
        **dict.fromkeys(("cxa_throw", "cxa_rethrow", "resumeException"), _nowhere_to),
    }


def _i32(number: int) -> int:
    return (number & 0xFFFF_FFFF) - ((number & 0x8000_0000) << 1)


def _nowhere_to(*_args: int) -> None:
    raise GuestError("it threw a C++ exception, and was built to catch none (-fexceptions)")


class _Exceptions:
    """The exceptions of one guest. Pointers point to the thrown objects."""

    def __init__(self, guest: Guest) -> None:
        self._guest = guest
        self.uncaught = 0
        self._thrown = 0  # on its way to a clause
        self._caught: list[int] = []
        # The header lies before the object, six words long: __cxa_exception in emscripten's
        # system/lib/libcxxabi. "caught" and "rethrown" are bytes of its fourth word.
        word = guest.word
        self._type, self._destructor, self._adjusted = (
            -6 * word + offset * word for offset in (1, 2, 4)
        )
        self._caught_flag = -3 * word
        self._rethrown_flag = self._caught_flag + 1

    def _call(self, name: str, *args: int) -> int:
        if not self._guest.has(name):
            raise GuestError(f"its C++ exceptions need the export {name}")
        return int(self._guest.call(name, *args) or 0)

    def _word(self, pointer: int) -> int:
        return self._guest.words(pointer, 1)[0]

    def _is(self, flag: int, thrown: int) -> bool:
        return self._guest.read(thrown + flag, 1) != b"\0"

    def _mark(self, flag: int, thrown: int, value: bool) -> None:
        self._guest.put(thrown + flag, value, 1)

    def throw(self, thrown: int, kind: int, destructor: int) -> None:
        for field, value in (
            (self._type, kind), (self._destructor, destructor), (self._adjusted, 0)
        ):  # fmt: skip
            self._guest.put_word(thrown + field, value)
        self._thrown = thrown
        self.uncaught += 1

    def rethrow(self) -> None:
        if not self._caught:
            raise GuestError("it rethrows a C++ exception where none is caught")
        self._thrown = self._caught[-1]
        self._mark(self._rethrown_flag, self._thrown, True)
        self._mark(self._caught_flag, self._thrown, False)
        self.uncaught += 1

    def resume(self, thrown: int) -> None:
        self._thrown = self._thrown or thrown

    def find(self, *clauses: int) -> int:
        """The exception that was thrown. Sets `tempret` to the type of the clause that catches it,
        or to its own type where none does."""
        thrown = self._thrown
        taken = self._clause(thrown, clauses) if thrown else 0
        self._call("_emscripten_tempret_set", _i32(taken))
        return thrown

    def _clause(self, thrown: int, clauses: tuple[int, ...]) -> int:
        self._guest.put_word(thrown + self._adjusted, thrown)
        kind = self._word(thrown + self._type)
        for clause in clauses if kind else ():
            if self._guest.unsigned(clause) in (0, kind):  # catch (...), or just that type
                break
            if self._call("__cxa_can_catch", clause, kind, thrown + self._adjusted):
                return clause
        return kind

    def begin_catch(self, thrown: int) -> int:
        if not self._is(self._caught_flag, thrown):
            self._mark(self._caught_flag, thrown, True)
            self.uncaught -= 1
        self._mark(self._rethrown_flag, thrown, False)
        if len(self._caught) >= MAX_CAUGHT:
            self._guest.budget.fail()
        self._caught.append(thrown)
        self._call("__cxa_increment_exception_refcount", thrown)
        return self._object(thrown)

    def _object(self, thrown: int) -> int:
        """What the clause gets: the object as its base class sees it, or the pointer thrown."""
        if self._guest.has("__cxa_get_exception_ptr"):
            return self._call("__cxa_get_exception_ptr", thrown)
        if self._call("__cxa_is_pointer_type", self._word(thrown + self._type)):
            return self._word(thrown)
        return self._word(thrown + self._adjusted) or thrown

    def end_catch(self) -> None:
        if not self._caught:
            raise GuestError("it ends a clause for a C++ exception where none is caught")
        self._call("setThrew", 0, 0)
        self._call("__cxa_decrement_exception_refcount", self._caught.pop())
        self._thrown = 0

    def current(self) -> int:
        if not self._caught:
            return 0
        self._call("__cxa_increment_exception_refcount", self._caught[-1])
        return self._caught[-1]
