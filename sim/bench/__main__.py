"""The command `python -m sim.bench`."""

import sys

from sim.studies.performance.command import main

if __name__ == "__main__":
    sys.exit(main())
