"""Processes whose first slots were computed elsewhere."""

from __future__ import annotations
