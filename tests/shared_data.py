"""Where the measuring data lie: real weights, photographs and golden vectors, which the project does not ship."""

import os
from pathlib import Path

from tests.skips import Skip

ROOT = Path(__file__).resolve().parents[1]
VARIABLE = "IVIT_SHARED_DATA"


def shared_data(*parts: str) -> Path:
    """The path of `parts` below the data folder; skips the calling test where it is absent.

    The folder is what the environment variable IVIT_SHARED_DATA names, else `../shared/data` beside the checkout.
    """
    folder = Path(os.environ.get(VARIABLE) or ROOT.parent / "shared" / "data")
    path = folder.joinpath(*parts)
    if not path.exists():
        Skip.DATA.now()
    return path
