"""Queries of an Arweave gateway in GraphQL: the part of the language that clients use.

`lexer` and `parser` make a syntax tree of a text, `schema` says which fields and arguments there
are, `selecting` and `values` prove a tree against it. `executor` answers, with `transactions`; the
messages come from `index`, a database of its own that `filling` keeps up with the node's log.
Everything but the last two is pure. Source: GraphQL, October 2021 edition.
"""
