"""The built-in node over HTTP, for clients of the network (`aoshell serve`).

A role answers as one service of the network does: messenger, compute, scheduler, gateway, bundler,
or a HyperBEAM node. Roles share one port; the path decides which one answers.
"""
