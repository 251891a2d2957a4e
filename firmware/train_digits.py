"""The command `python -m firmware.train_digits`."""

import sys

from firmware.training.train_digits import main

if __name__ == "__main__":
    sys.exit(main())
