"""The command `python -m firmware.finetune.mnist`."""

import sys

from firmware.training.mnist import main

if __name__ == "__main__":
    sys.exit(main())
