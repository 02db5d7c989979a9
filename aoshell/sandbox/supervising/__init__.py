"""The shell's side of workers: starts zygotes and workers, sends and reads frames, ends them."""
