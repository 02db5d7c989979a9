"""Parses GraphQL documents that can be executed (October 2021, section 2): queries and fragments.

Recursion is bounded by `DEEPEST`, work by the number of tokens.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn, TypeVar

from aoshell.serve.graphql import syntax
from aoshell.serve.graphql.errors import GraphqlError
from aoshell.serve.graphql.lexer import Token, place, tokens

DEEPEST = 32  # levels of selections, lists and objects
LONGEST_NUMBER = 40  # characters

T = TypeVar("T")


def parse(text: str) -> syntax.Document:
    """The syntax tree of a document.

    Raises:
        GraphqlError: it is not a document of queries and fragments, or exceeds a bound.
    """
    return _Parser(text).document()


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = tokens(text)
        self._token = next(self._tokens)
        self._depth = 0

    # Tokens ---------------------------------------------------------------------------------

    def _take(self) -> Token:
        token = self._token
        self._token = next(self._tokens, token)  # the last one stays
        return token

    def _sees(self, mark: str) -> bool:
        return self._token.kind == "mark" and self._token.text == mark

    def _skip(self, mark: str) -> bool:
        sees = self._sees(mark)
        if sees:
            self._take()
        return sees

    def _expect(self, mark: str) -> None:
        if not self._skip(mark):
            self._fail(f'Expected "{mark}", found {_named(self._token)}')

    def _name(self) -> str:
        if self._token.kind != "name":
            self._fail(f"Expected Name, found {_named(self._token)}")
        return self._take().text

    def _fail(self, what: str, at: int | None = None) -> NoReturn:
        where = place(self._text, self._token.at if at is None else at)
        raise GraphqlError(f"Syntax Error: {what}.", where)

    def _many(self, first: str, last: str, one: Callable[[], T], *, least: int = 1) -> list[T]:
        """The items between two marks; `one` parses each."""
        self._open(first)
        found = list[T]()
        while len(found) < least or not self._sees(last):
            if self._token.kind == "end":
                self._expect(last)
            found.append(one())
        self._close(last)
        return found

    def _open(self, mark: str) -> None:
        self._expect(mark)
        self._depth += 1
        if self._depth > DEEPEST:
            self._fail(f"The query is nested deeper than {DEEPEST} levels")

    def _close(self, mark: str) -> None:
        self._expect(mark)
        self._depth -= 1

    # Documents ------------------------------------------------------------------------------

    def document(self) -> syntax.Document:
        operations, fragments = list[syntax.Operation](), dict[str, syntax.Fragment]()
        while self._token.kind != "end" or not (operations or fragments):
            if self._token.text == "fragment" and self._token.kind == "name":
                fragment = self._fragment()
                if fragment.name in fragments:
                    self._fail(f'There are two fragments named "{fragment.name}"', fragment.at)
                fragments[fragment.name] = fragment
            else:
                operations.append(self._operation())
        return syntax.Document(self._text, tuple(operations), fragments)

    def _operation(self) -> syntax.Operation:
        at, name = self._token.at, ""
        variables = list[syntax.VariableDefinition]()
        directives: tuple[syntax.Directive, ...] = ()
        if not self._sees("{"):
            self._query()
            if self._token.kind == "name":
                name = self._take().text
            if self._sees("("):
                variables = self._many("(", ")", self._variable_definition)
            directives = self._directives()
        return syntax.Operation(name, tuple(variables), directives, self._selections(), at)

    def _query(self) -> None:
        token = self._token
        if token.kind == "name" and token.text in ("mutation", "subscription"):
            self._fail(f"There are no {token.text}s here, only queries")
        if token.kind != "name" or token.text != "query":
            self._fail(f"Unexpected {_named(token)}")
        self._take()

    def _variable_definition(self) -> syntax.VariableDefinition:
        at = self._token.at
        self._expect("$")
        name = self._name()
        self._expect(":")
        type = self._type()
        has_default = self._skip("=")
        default = self._value(constant=True) if has_default else None
        self._directives()
        return syntax.VariableDefinition(name, type, default, has_default, at)

    def _type(self) -> syntax.Type:
        if not self._sees("["):
            return syntax.Type(self._name(), None, self._skip("!"))
        self._open("[")
        item = self._type()
        self._close("]")
        return syntax.Type("", item, self._skip("!"))

    def _fragment(self) -> syntax.Fragment:
        at = self._take().at
        name = self._fragment_name()
        if (self._token.kind, self._token.text) != ("name", "on"):
            self._fail(f'Expected "on", found {_named(self._token)}')
        self._take()
        return syntax.Fragment(name, self._name(), self._directives(), self._selections(), at)

    def _fragment_name(self) -> str:
        if self._token.text == "on":
            self._fail('Unexpected Name "on"')
        return self._name()

    # Selections -----------------------------------------------------------------------------

    def _selections(self) -> tuple[syntax.Selection, ...]:
        return tuple(self._many("{", "}", self._selection))

    def _selection(self) -> syntax.Selection:
        at = self._token.at
        if not self._skip("..."):
            return self._field(at)
        if self._token.kind == "name" and self._token.text != "on":
            return syntax.Spread(self._name(), self._directives(), at)
        type = ""
        if self._token.kind == "name":
            self._take()
            type = self._name()
        return syntax.Inline(type, self._directives(), self._selections(), at)

    def _field(self, at: int) -> syntax.Field:
        key = name = self._name()
        if self._skip(":"):
            name = self._name()
        arguments, directives = self._arguments(), self._directives()
        selections = self._selections() if self._sees("{") else ()
        return syntax.Field(key, name, arguments, directives, selections, at)

    def _arguments(self) -> tuple[tuple[str, syntax.Value], ...]:
        if not self._sees("("):
            return ()
        at = self._token.at
        return self._unique(self._many("(", ")", self._pair), "argument", at)

    def _pair(self) -> tuple[str, syntax.Value]:
        name = self._name()
        self._expect(":")
        return name, self._value()

    def _unique(
        self, pairs: list[tuple[str, syntax.Value]], what: str, at: int
    ) -> tuple[tuple[str, syntax.Value], ...]:
        if len(dict(pairs)) < len(pairs):
            self._fail(f"An {what} is given twice", at)
        return tuple(pairs)

    def _directives(self) -> tuple[syntax.Directive, ...]:
        found = list[syntax.Directive]()
        while self._sees("@"):
            at = self._take().at
            found.append(syntax.Directive(self._name(), self._arguments(), at))
        return tuple(found)

    # Values ---------------------------------------------------------------------------------

    def _value(self, *, constant: bool = False) -> syntax.Value:
        if self._sees("["):
            values = self._many("[", "]", lambda: self._value(constant=constant), least=0)
            return syntax.ListValue(tuple(values))
        if self._sees("{"):
            at = self._token.at
            pairs = self._many("{", "}", lambda: self._member(constant), least=0)
            return syntax.ObjectValue(self._unique(pairs, "member", at))
        if self._sees("$") and not constant:
            at = self._take().at
            return syntax.Variable(self._name(), at)
        return self._scalar()

    def _member(self, constant: bool) -> tuple[str, syntax.Value]:
        name = self._name()
        self._expect(":")
        return name, self._value(constant=constant)

    def _scalar(self) -> syntax.Value:
        token = self._token
        if token.kind in ("mark", "end"):
            self._fail(f"Unexpected {_named(token)}")
        if token.kind in ("int", "float") and len(token.text) > LONGEST_NUMBER:
            self._fail(f"A number has more than {LONGEST_NUMBER} characters")
        self._take()
        if token.kind == "int":
            return int(token.text)
        if token.kind == "float":
            return float(token.text)
        if token.kind == "string":
            return token.text
        return {"true": True, "false": False, "null": None}.get(token.text, syntax.Enum(token.text))


def _named(token: Token) -> str:
    """A token for an error."""
    kinds = {"name": "Name", "int": "Int", "float": "Float", "string": "String"}
    if token.kind == "end":
        return "<EOF>"
    if token.kind == "mark":
        return f'"{token.text}"'
    return f"{kinds[token.kind]} {token.text[:40]!a}"
