"""Commands of training without the extra: a sentence, not a traceback."""

import importlib
import subprocess
import sys

import pytest

from firmware.training.extra import training_extra

RUN = "import sys, runpy; sys.modules['torch'] = None; runpy.run_module({!r}, run_name='__main__', alter_sys=True)"


@pytest.mark.parametrize("command", ["firmware.finetune", "firmware.finetune.mnist", "firmware.train_digits"])
def test_a_missing_package_is_named(command: str):
    done = subprocess.run([sys.executable, "-c", RUN.format(command)], capture_output=True, text=True, check=False)
    assert done.returncode == 2 and done.stdout == ""
    sentence = f"{command} needs torch, which is not installed: pip install 'ivit-machine[training]'."
    assert done.stderr == f"error: {sentence}\n"


def test_another_missing_module_is_no_user_s_mistake():
    with pytest.raises(ModuleNotFoundError, match="no_such_module"), training_extra("firmware.finetune"):
        importlib.import_module("no_such_module")
