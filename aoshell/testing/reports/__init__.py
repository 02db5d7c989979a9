"""Reports of tests: for people, for programs, for what builds and tests on a server."""
