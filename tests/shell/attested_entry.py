"""`aoshell`, trusting synthetic roots of TPMs: EK_ROOTS has vendors by fingerprint, as JSON."""

from __future__ import annotations

import json
import os
import sys
from functools import partial

from aoshell.attest.tpm.roots import EkRoot
from aoshell.cli import main
from aoshell.shell.commands import attest

if __name__ == "__main__":
    vendors = json.loads(os.environ["EK_ROOTS"])
    roots = {fingerprint: EkRoot(vendor, "synthetic") for fingerprint, vendor in vendors.items()}
    at = int(os.environ["AT"])
    attest.run_attest = partial(attest.run_attest, test_ek_roots=roots, at=at)
    sys.exit(main())
