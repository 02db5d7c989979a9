"""Reports of tests: for people, for programs, and for CI servers."""
