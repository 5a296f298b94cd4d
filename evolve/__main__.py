"""The command `evolve`."""

from __future__ import annotations

from evolve.environment import pin

pin()  # before anything imports jax


def main() -> None:
    """Run the command line, and leave with its exit code."""
    from evolve.commands.main import main as command_line

    command_line()


if __name__ == "__main__":
    main()
