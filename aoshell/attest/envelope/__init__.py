"""Envelopes of `~measurement@1.0`: one form of evidence over SEV-SNP and TPM 2.0.

`reading` makes an envelope of a node's answer, `ids` computes the ids in it as the node does, `snp`
reads the evidence of SEV-SNP, and `activation` makes the secret that only the measured machine can
open. Nothing here asks a node; the checks decide.
"""
