"""The units of the legacy network: messenger, scheduler, compute, and the bundler."""
