"""Unverified facts about evidence: its kind, and the bytes of its report.

The readers of nodes' answers are imported only if there is an answer: for a report alone they would
be half of all imports.
"""

from __future__ import annotations

from aoshell.attest import jsonreport
from aoshell.attest.evidence import Evidence
from aoshell.attest.kinds import Kind


def kind_of(evidence: Evidence) -> Kind:
    """The kind of evidence, as it claims. Raises nothing."""
    if evidence.exchange is None:
        return Kind.GENERATE if evidence.answer else Kind.REPORT
    from aoshell.attest.envelope.reading import kind_of_envelope

    return kind_of_envelope(evidence.exchange.fresh)


def read_raw_report(evidence: Evidence) -> bytes:
    """The bytes of the report in evidence.

    Raises:
        EvidenceError: JSON_…, HTTPSIG_INVALID, CONTENT_DIGEST or REPORT_FORM: there is no report.
    """
    if evidence.fault:
        raise evidence.fault
    if evidence.raw is not None:
        return evidence.raw
    text = evidence.text
    if evidence.answer:
        from aoshell.attest.answer import read_report_text

        text = read_report_text(evidence.answer)
    return jsonreport.report_from_json(text or b"")
