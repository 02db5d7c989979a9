"""Envelopes over SEV-SNP: what the report is bound to, and what it is checked against.

Each case is one edit of an envelope that passes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from amd import Amd, Line, Sample
from attest_real import BUNDLES, Bundle
from envelope_node import IMAGE, MEASUREMENT, NONCE, POLICY, SnpNode, pem, raw

from aoshell.attest.envelope import snp
from aoshell.attest.envelope.ids import stable_id
from aoshell.attest.envelope.snp import find_report
from aoshell.attest.evidence import Evidence
from aoshell.attest.policy import Image, Policy
from aoshell.attest.verify import Verdict
from aoshell.protocol.encoding import b64url
from aoshell.protocol.wallet import Wallet
