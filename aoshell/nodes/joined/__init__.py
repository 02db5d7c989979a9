"""One home, many shells: the first process that opens a home carries its node, the others join it.

The kernel's lock on `node.lock` decides who carries: the carrier listens on a private Unix socket
in the home (`door`), and whoever finds the lock taken connects to it and uses the same verbs
(`wire`, `server`). What crosses the socket is an allow-list of verbs (`verbs`), typed values
(`codec`) and bounded frames (`frames`); keys never do, as each shell signs what was typed there.
When the carrier leaves, each of the others tries for the lock: one carries, the others connect to
it, ask again for what they wait for and send unanswered messages again, which are one slot each.
"""
