"""The verbs that units over HTTP use (`nodes.network_verbs.NetworkVerbs`).

Nothing here knows HTTP: it handles pages, waits, assignments, uploads, and network ids of modules.
"""
