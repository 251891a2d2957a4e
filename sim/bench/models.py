"""The command `python -m sim.bench.models`."""

import sys

from sim.studies.performance.models import main

if __name__ == "__main__":
    sys.exit(main())
