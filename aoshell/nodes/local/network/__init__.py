"""What units over HTTP ask of the node (`nodes.base.NetworkVerbs`).

Nothing here knows HTTP: pages, waits, assignments, uploads, the network's ids of modules.
"""
