from fuzzed import fuzzing as fuzzing
