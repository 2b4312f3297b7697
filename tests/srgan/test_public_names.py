"""What users import from `srgan`."""

import subprocess
import sys

import srgan

HEAVY = "tensorflow", "keras", "xarray", "matplotlib"


def test_every_public_name_is_there():
    for name in srgan.__all__:
        assert getattr(srgan, name).__name__ == name


def test_settings_are_made_without_loading_networks():
    code = (
        "import sys, srgan; srgan.PatchSamplerConfig(archive='a.h5'); "
        "srgan.GeneratorTrainingConfig(records='records'); "
        "srgan.InferConfig(generator='run', input='low.h5'); "
        f"print([name for name in {HEAVY} if name in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
