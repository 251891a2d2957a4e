"""The command `python -m firmware.finetune`."""

import sys

from firmware.training.extra import training_extra
from sim.reference.errors import exit_status


def command() -> int:
    """The command with the packages that it needs; 2 where one is not installed."""
    with training_extra("firmware.finetune"):
        from firmware.training.finetune import main
    return main()


if __name__ == "__main__":
    sys.exit(exit_status(command))
