"""Queries of an Arweave gateway in GraphQL: the part of the language that clients use.

`lexer` and `parser` turn a text into a syntax tree, `schema` defines fields and arguments,
`selecting` and `values` check a tree against it. `executor` answers, with `transactions`. The
messages come from `index`, a separate database, which `filling` keeps up to date with the node's
log. Source: GraphQL, October 2021 edition.
"""
