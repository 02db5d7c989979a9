"""TPM 2.0: the structures of a quote, the logs behind its PCRs, and the exchange of a secret.

Everything here is a function of bytes: no clock, no network, no file. Only EvidenceError is raised.
"""
