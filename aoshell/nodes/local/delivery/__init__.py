"""How messages reach a log: from outside (`intake`), and out of an outbox (`push`).

Messages that must wait are kept (`keeping`); missing modules are fetched (`fetching`).
"""
