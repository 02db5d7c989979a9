"""What units over HTTP ask of the node (`nodes.network_verbs.NetworkVerbs`).

Nothing here knows HTTP: pages, waits, assignments, uploads, the network's ids of modules.
"""
