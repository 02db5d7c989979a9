"""Parses expressions of Lua 5.3; has the tokens and scopes that statements need, too."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from aoshell.lua import syntax as tree
from aoshell.lua.scopes import MAX_LOCALS, FunctionScope, ScopeError
from aoshell.lua.strict import LuaSyntaxError, StrictLexer, SyntaxToken

# Priorities of an operator to its left and to its right (lparser.c of Lua 5.3).
_BINARY = {
    "or": (1, 1), "and": (2, 2),
    "<": (3, 3), ">": (3, 3), "<=": (3, 3), ">=": (3, 3), "~=": (3, 3), "==": (3, 3),
    "|": (4, 4), "~": (5, 5), "&": (6, 6), "<<": (7, 7), ">>": (7, 7), "..": (9, 8),
    "+": (10, 10), "-": (10, 10), "*": (11, 11), "/": (11, 11), "//": (11, 11), "%": (11, 11),
    "^": (14, 13),
}  # fmt: skip
_UNARY = frozenset(("not", "-", "~", "#"))
_UNARY_PRIORITY = 12
_CONSTANTS = {"nil": None, "true": True, "false": False}
_MAX_LEVELS = 199  # of nesting: Lua allows 200 C calls, and calling its parser takes one


class Expressions:
    """Parses expressions; a subclass adds statements."""

    def __init__(self, lexer: StrictLexer) -> None:
        self._lexer = lexer
        self._token = lexer.next()
        self._ahead: SyntaxToken | None = None
        self._function = FunctionScope(None, 0, is_vararg=True)
        self._levels = 0

    # Tokens

    def _advance(self) -> SyntaxToken:
        token = self._token
        self._token, self._ahead = self._ahead or self._lexer.next(), None
        return token

    def _accept(self, kind: str) -> bool:
        if self._token.kind != kind:
            return False
        self._advance()
        return True

    def _expect(self, kind: str) -> SyntaxToken:
        if self._token.kind != kind:
            shown = kind if len(kind) > 2 and kind[0] == "<" else f"'{kind}'"
            raise self._error(f"{shown} expected")
        return self._advance()

    def _close(self, kind: str, opening: SyntaxToken, line: int = 0) -> None:
        """Take the token that closes what `opening` opened, at `line` in Lua's message."""
        line = line or opening.line
        if self._token.kind != kind and line != self._token.line:
            raise self._error(f"'{kind}' expected (to close '{opening.kind}' at line {line})")
        self._expect(kind)

    def _error(self, message: str) -> LuaSyntaxError:
        token = self._token
        near = f" near {token.near}" if token.near else ""
        return LuaSyntaxError(message + near, token.at, token.line)

    @contextmanager
    def _nested(self) -> Iterator[None]:
        self._levels += 1
        if self._levels > _MAX_LEVELS:
            raise self._error(f"too many C levels (limit is 200) in {self._function.where}")
        yield
        self._levels -= 1

    # Scopes

    @contextmanager
    def _scoped(self, is_loop: bool = False) -> Iterator[None]:
        self._function.enter(is_loop)
        yield
        with self._placed():
            self._function.leave()

    @contextmanager
    def _placed(self) -> Iterator[None]:
        try:
            yield
        except ScopeError as error:
            raise LuaSyntaxError(str(error), self._token.at, self._token.line) from None

    def _local(self, waiting: int = 0) -> tree.Local:
        """The name of a variable to declare after `waiting` others."""
        return self._room_for(self._expect("<name>"), waiting)

    def _room_for(self, name: SyntaxToken, waiting: int) -> tree.Local:
        if not self._function.has_room(waiting + 1):
            where = self._function.where
            raise self._error(f"too many local variables (limit is {MAX_LOCALS}) in {where}")
        return tree.Local(str(name.value), name.at)

    def _block(self) -> tree.Block:
        raise NotImplementedError

    # Expressions

    def _expression(self, limit: int = 0) -> tree.Expression:
        """An expression whose binary operators have a higher priority than `limit`."""
        token = self._token
        with self._nested():
            if token.kind in _UNARY:
                self._advance()
                operand = self._expression(_UNARY_PRIORITY)
                left: tree.Expression = tree.Unary(token.at, token.kind, operand)
            else:
                left = self._operand()
            while priority := _BINARY.get(self._token.kind):
                if priority[0] <= limit:
                    break
                operator = self._advance().kind
                left = tree.Binary(token.at, operator, left, self._expression(priority[1]))
        return left

    def _operand(self) -> tree.Expression:
        token = self._token
        match token.kind:
            case "<number>" | "<string>":
                self._advance()
                return tree.Constant(token.at, token.value)
            case "nil" | "true" | "false":
                self._advance()
                return tree.Constant(token.at, _CONSTANTS[token.kind])
            case "...":
                if not self._function.is_vararg:
                    raise self._error("cannot use '...' outside a vararg function")
                self._advance()
                return tree.Vararg(token.at)
            case "{":
                return self._table()
            case "function":
                self._advance()
                return self._body(token, self._token.line)
        return self._suffixed()

    def _expressions(self) -> tuple[tree.Expression, ...]:
        found = [self._expression()]
        while self._accept(","):
            found.append(self._expression())
        return tuple(found)

    def _suffixed(self) -> tree.Expression:
        """A name or parenthesis, with the indices and calls that follow it."""
        at, line = self._token.at, self._token.line
        found = self._primary()
        while True:
            match self._token.kind:
                case ".":
                    self._advance()
                    key = self._expect("<name>")
                    found = tree.Index(at, found, tree.Constant(key.at, key.value))
                case "[":
                    found = tree.Index(at, found, self._bracketed())
                case ":":
                    self._advance()
                    name = str(self._expect("<name>").value)
                    found = tree.MethodCall(at, found, name, self._arguments(line))
                case "(" | "{" | "<string>":
                    found = tree.Call(at, found, self._arguments(line))
                case _:
                    return found

    def _primary(self) -> tree.Expression:
        token = self._token
        if token.kind == "<name>":
            name = str(self._advance().value)
            return tree.Name(token.at, name, self._function.find(name))
        if token.kind == "(":
            self._advance()
            inner = self._expression()
            self._close(")", token)
            return tree.Parenthesis(token.at, inner)
        raise self._error("unexpected symbol")

    def _bracketed(self) -> tree.Expression:
        self._advance()
        key = self._expression()
        self._expect("]")
        return key

    def _arguments(self, line: int) -> tuple[tree.Expression, ...]:
        token = self._token
        if token.kind == "<string>":
            self._advance()
            return (tree.Constant(token.at, token.value),)
        if token.kind == "{":
            return (self._table(),)
        if token.kind != "(":
            raise self._error("function arguments expected")
        self._advance()
        found = () if self._token.kind == ")" else self._expressions()
        self._close(")", token, line)
        return found

    def _table(self) -> tree.TableConstructor:
        opening, found = self._advance(), []
        while self._token.kind != "}":
            found.append(self._field())
            if not self._accept(",") and not self._accept(";"):
                break
        self._close("}", opening)
        return tree.TableConstructor(opening.at, tuple(found))

    def _field(self) -> tree.Field:
        token = self._token
        key: tree.Expression | None = None
        if token.kind == "[":
            key = self._bracketed()
            self._expect("=")
        elif token.kind == "<name>" and self._peek().kind == "=":
            key = tree.Constant(token.at, self._advance().value)
            self._advance()
        return tree.Field(token.at, key, self._expression())

    def _peek(self) -> SyntaxToken:
        self._ahead = self._ahead or self._lexer.next()
        return self._ahead

    def _body(self, keyword: SyntaxToken, line: int, is_method: bool = False) -> tree.Function:
        """A function from its parameters on; `line` is the one that Lua's messages name."""
        self._function = FunctionScope(self._function, line, is_vararg=False)
        with self._scoped():
            own = (tree.Local("self", keyword.at),) if is_method else ()
            self._function.declare(*own)
            self._expect("(")
            parameters = self._parameters()
            self._function.declare(*parameters)
            self._expect(")")
            body = self._block()
            self._close("end", keyword, line)
        is_vararg, outer = self._function.is_vararg, self._function.outer
        assert outer
        self._function = outer
        return tree.Function(keyword.at, own + parameters, is_vararg, body)

    def _parameters(self) -> tuple[tree.Local, ...]:
        found: list[tree.Local] = []
        while self._token.kind != ")" or found:
            if self._accept("..."):
                self._function.is_vararg = True
                break
            if self._token.kind != "<name>":
                raise self._error("<name> or '...' expected")
            found.append(self._local(len(found)))
            if not self._accept(","):
                break
        return tuple(found)
