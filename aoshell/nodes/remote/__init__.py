"""Remote nodes: HyperBEAM, and the legacy network.

Both implement `nodes.base.Node` and `RemoteVerbs`. `memory` keeps facts about them in one small
database. `http` makes requests for both, and `arweave` looks up names and code for both.
"""
