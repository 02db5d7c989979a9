"""Tests written from a session: its lines, and the answers that it got."""
