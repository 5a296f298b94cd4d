"""The command line: read, call `evolve.api`, print."""

from evolve.environment import pin

pin()  # before anything imports jax
