"""The command `python -m firmware.train_digits`."""

import sys

from firmware.training.extra import training_extra
from sim.reference.errors import exit_status


def command() -> int:
    """The command with the packages that it needs; 2 where one is not installed."""
    with training_extra("firmware.train_digits"):
        from firmware.training.train_digits import main
    return main()


if __name__ == "__main__":
    sys.exit(exit_status(command))
