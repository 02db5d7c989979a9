"""The launch measurement of an SEV-SNP guest: from files (`ovmf`), or from the hashes that a node
reports (`local_hashes`). `pages` extends the digest, `vmsa` makes the pages of processors.
"""
