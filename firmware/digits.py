"""The command `python -m firmware.digits`."""

import sys

from firmware.training.digits import main

if __name__ == "__main__":
    sys.exit(main())
