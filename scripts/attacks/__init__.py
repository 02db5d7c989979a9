"""What `scripts/attack` does to the shell: a file for each kind of attacker, with its `ATTACKS`."""
