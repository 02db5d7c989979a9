"""A parser of Lua 5.3: makes a tree of what Lua compiles, and raises with Lua's message otherwise.

It resolves variables on the way, as Lua does. It does not check the limits of Lua's machine code,
such as 255 registers for a function.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from aoshell.lua import syntax as tree
from aoshell.lua.expressions import Expressions
from aoshell.lua.strict import StrictLexer, SyntaxToken

_BLOCK_END = frozenset(("<eof>", "end", "else", "elseif"))
_RECURSION = 4000  # Python frames that 200 levels of Lua may need


def parse(source: str) -> tuple[tree.Function, StrictLexer]:
    """Parse a chunk. Returns its main function, and the lexer with its notes.

    Args:
        source: text, latin-1; without a byte order mark or a `#` line.

    Raises:
        LuaSyntaxError: Lua would refuse it.
    """
    lexer = StrictLexer(source)
    with _deep():
        return _Parser(lexer).main(), lexer


@contextmanager
def _deep() -> Iterator[None]:
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(max(before, _RECURSION))
    try:
        yield
    finally:
        sys.setrecursionlimit(before)


class _Parser(Expressions):
    def main(self) -> tree.Function:
        with self._scoped():
            body = self._block()
            self._expect("<eof>")
        return tree.Function(0, (), True, body)

    def _block(self) -> tree.Block:
        """Statements up to the end of their block; the caller opens and closes the scope."""
        at, found = self._token.at, list[tree.Statement]()
        while self._token.kind not in _BLOCK_END and self._token.kind != "until":
            is_last = self._token.kind == "return"
            with self._nested():
                found.extend(self._statement())
            if is_last:
                break
        return tree.Block(at, tuple(found))

    def _inner_block(self) -> tree.Block:
        with self._scoped():
            return self._block()

    def _statement(self) -> tuple[tree.Statement, ...]:
        token = self._token
        match token.kind:
            case ";":
                self._advance()
                return ()
            case "if":
                return (self._if(),)
            case "while":
                return (self._while(),)
            case "do":
                self._advance()
                body = self._inner_block()
                self._close("end", token)
                return (tree.Do(token.at, body),)
            case "for":
                return (self._for(),)
            case "repeat":
                return (self._repeat(),)
            case "function":
                return (self._function_statement(),)
            case "local":
                return (self._local_statement(),)
            case "::":
                return self._labels()
            case "return":
                return (self._return(),)
            case "break" | "goto":
                return (self._jump(),)
        return (self._expression_statement(),)

    def _if(self) -> tree.If:
        opening, branches = self._token, list[tree.Branch]()
        while not branches or self._token.kind == "elseif":
            token = self._advance()
            condition = self._expression()
            self._expect("then")
            branches.append(tree.Branch(token.at, condition, self._inner_block()))
        if self._token.kind == "else":
            token = self._advance()
            branches.append(tree.Branch(token.at, None, self._inner_block()))
        self._close("end", opening)
        return tree.If(opening.at, tuple(branches))

    def _while(self) -> tree.While:
        opening = self._advance()
        condition = self._expression()
        with self._scoped(is_loop=True):
            self._expect("do")
            body = self._inner_block()
            self._close("end", opening)
        return tree.While(opening.at, condition, body)

    def _repeat(self) -> tree.Repeat:
        opening = self._advance()
        # The condition sees the variables of the block.
        with self._scoped(is_loop=True), self._scoped():
            body = self._block()
            self._close("until", opening)
            condition = self._expression()
        return tree.Repeat(opening.at, body, condition)

    def _for(self) -> tree.NumericFor | tree.GenericFor:
        opening = self._advance()
        with self._scoped(is_loop=True):
            name = self._expect("<name>")
            match self._token.kind:
                case "=":
                    found = self._numeric_for(opening, name)
                case "," | "in":
                    found = self._generic_for(opening, name)
                case _:
                    raise self._error("'=' or 'in' expected")
            self._close("end", opening)
        return found

    def _numeric_for(
        self, opening: SyntaxToken, name: SyntaxToken
    ) -> tree.NumericFor | tree.GenericFor:
        self._hide("(for index)", "(for limit)", "(for step)")
        local = self._room_for(name, 0)
        self._advance()
        bounds = [self._expression()]
        self._expect(",")
        bounds.append(self._expression())
        if self._accept(","):
            bounds.append(self._expression())
        return tree.NumericFor(opening.at, local, tuple(bounds), self._for_body(local))

    def _generic_for(
        self, opening: SyntaxToken, name: SyntaxToken
    ) -> tree.NumericFor | tree.GenericFor:
        self._hide("(for generator)", "(for state)", "(for control)")
        locals_ = [self._room_for(name, 0)]
        while self._accept(","):
            locals_.append(self._local(len(locals_)))
        self._expect("in")
        values = self._expressions()
        body = self._for_body(*locals_)
        return tree.GenericFor(opening.at, tuple(locals_), values, body)

    def _hide(self, *names: str) -> None:
        """Declare variables of Lua's own, which no script can name."""
        self._function.declare(*(tree.Local(name, 0) for name in names))

    def _for_body(self, *locals_: tree.Local) -> tree.Block:
        self._expect("do")
        with self._scoped():
            self._function.declare(*locals_)
            return self._block()

    def _function_statement(self) -> tree.Assign:
        keyword = self._advance()
        name = self._expect("<name>")
        target: tree.Name | tree.Index
        target = tree.Name(name.at, str(name.value), self._function.find(str(name.value)))
        is_method = False
        while self._token.kind in (".", ":") and not is_method:
            is_method = self._advance().kind == ":"
            key = self._expect("<name>")
            target = tree.Index(name.at, target, tree.Constant(key.at, key.value))
        function = self._body(keyword, keyword.line, is_method)
        return tree.Assign(keyword.at, (target,), (function,))

    def _local_statement(self) -> tree.LocalFunction | tree.LocalAssign:
        token = self._advance()
        if self._token.kind == "function":
            keyword = self._advance()
            local = self._local()
            self._function.declare(local)
            body = self._body(keyword, self._token.line)
            return tree.LocalFunction(token.at, local, body)
        locals_ = [self._local()]
        while self._accept(","):
            locals_.append(self._local(len(locals_)))
        values = self._expressions() if self._accept("=") else ()
        self._function.declare(*locals_)
        return tree.LocalAssign(token.at, tuple(locals_), values)

    def _labels(self) -> tuple[tree.Statement, ...]:
        """Labels in a row: all of them end their block, or none does."""
        found = list[tree.Label]()
        while self._token.kind in ("::", ";"):
            if self._accept(";"):
                continue
            line, at = self._token.line, self._advance().at
            name = str(self._expect("<name>").value)
            with self._placed():
                self._function.label(name, line)
            self._expect("::")
            found.append(tree.Label(at, name))
        with self._placed():
            ends_block = self._token.kind in _BLOCK_END
            self._function.settle([label.name for label in found], ends_block)
        return tuple(found)

    def _jump(self) -> tree.Break | tree.Goto:
        token = self._advance()
        is_break = token.kind == "break"
        label = "break" if is_break else str(self._expect("<name>").value)
        with self._placed():
            self._function.goto(label, token.line)
        return tree.Break(token.at) if is_break else tree.Goto(token.at, label)

    def _return(self) -> tree.Return:
        token = self._advance()
        is_bare = self._token.kind in _BLOCK_END or self._token.kind in ("until", ";")
        values = () if is_bare else self._expressions()
        self._accept(";")
        return tree.Return(token.at, values)

    def _expression_statement(self) -> tree.Assign | tree.CallStatement:
        at, found = self._token.at, self._suffixed()
        if self._token.kind not in ("=", ","):
            if isinstance(found, tree.Call | tree.MethodCall):
                return tree.CallStatement(at, found)
            raise self._error("syntax error")
        targets = [self._target(found)]
        while self._accept(","):
            targets.append(self._target(self._suffixed()))
        self._expect("=")
        return tree.Assign(at, tuple(targets), self._expressions())

    def _target(self, found: tree.Expression) -> tree.Name | tree.Index:
        if isinstance(found, tree.Name | tree.Index):
            return found
        raise self._error("syntax error")
