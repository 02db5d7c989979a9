"""One home, many shells: the first process that opens a home carries its node, the others join it.

The process that holds the kernel's lock on `node.lock` is the carrier. It listens on a private Unix
socket in the home (`door`). A process that finds the lock taken connects to that socket, and uses
the same verbs (`wire`, `server`). Only verbs of an allow-list (`verbs`), typed values (`codec`) and
bounded frames (`frames`) cross the socket; keys never do, as each shell signs its own messages.
When the carrier leaves, the others try to take the lock. One becomes the carrier; the others
connect to it, repeat their open calls, and send unanswered messages again, each of which still
becomes one slot only.
"""
