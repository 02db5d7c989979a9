"""Code from files: bundles, reloading, new processes."""
