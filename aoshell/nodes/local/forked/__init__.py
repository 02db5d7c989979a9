"""Forks of live processes: their first slots were computed elsewhere."""

from __future__ import annotations
