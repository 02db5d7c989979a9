"""Forks of live processes: their logs read, checked, and put into a home."""

from __future__ import annotations
