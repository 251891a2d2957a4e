"""The command `python -m firmware.digits`."""

import sys

from firmware.training.digits import main
from sim.reference.errors import exit_status

if __name__ == "__main__":
    sys.exit(exit_status(main))
