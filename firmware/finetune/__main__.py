"""The command `python -m firmware.finetune`."""

import sys

from firmware.training.finetune import main

if __name__ == "__main__":
    sys.exit(main())
