"""The command `python -m sim.fuzz`."""

import sys

from sim.fuzz.command import main

if __name__ == "__main__":
    sys.exit(main())
