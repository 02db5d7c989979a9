"""HTTP to a remote node: requests, answers, and what is waited for."""
