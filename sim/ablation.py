"""The command `python -m sim.ablation`."""

import sys

from sim.studies.ablation.command import main

if __name__ == "__main__":
    sys.exit(main())
