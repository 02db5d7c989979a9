"""How messages reach a log: from outside (`intake`), and out of an outbox (`push`).

What cannot go on yet is kept (`keeping`); a module that is missing is fetched (`fetching`).
"""
