"""The fixtures of fuzzed.py."""

from fuzzed import bounded, fuzzing, hurried, lean_pytest, untried

__all__ = ["bounded", "fuzzing", "hurried", "lean_pytest", "untried"]
