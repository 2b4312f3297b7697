"""Makes the files of this folder, with the code of version 0.1.0 (see README.md).

From within an empty folder, with that code first on the path:

    python make.py

which leaves the files there, and files.tar.xz and expected.json, which are kept.
"""

import contextlib
import dataclasses
import importlib.util
import os
import shutil
import tarfile
import tempfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
HERE = Path(__file__).resolve().parent


def small_network():
    """Gives `resnet-tiny` fewer filters: a run of it as it is has 10 MB."""
    from atmodist.learning import networks

    def few(stages, filters):
        return tuple(
            dataclasses.replace(s, filters=n) for s, n in zip(stages, filters, strict=True)
        )

    tiny = networks.ARCHITECTURES["resnet-tiny"]
    spec = dataclasses.replace(tiny.spec, stem_filters=4, stages=few(tiny.spec.stages, (4, 4)))
    head = dataclasses.replace(tiny.head, stages=few(tiny.head.stages, (4, 4)))
    networks.ARCHITECTURES["resnet-tiny"] = dataclasses.replace(tiny, spec=spec, head=head)


def run(command):
    from atmodist.cli import main, rplearn_data, rplearn_train
    from evaluation.cli import phire_eval
    from srgan.cli import phire_data, phire_infer, phire_train

    modules = {
        "atmodist": main,
        "rplearn-data": rplearn_data,
        "rplearn-train": rplearn_train,
        "phire-data": phire_data,
        "phire-train": phire_train,
        "phire-infer": phire_infer,
        "phire-eval": phire_eval,
    }
    program, *arguments = command.split()
    print(f"\n$ {command}")
    assert modules[program].main(arguments) == 0, command


def save_loss():
    """Saves a network that is compiled with the content loss: the loss is within the file."""
    import keras
    import numpy as np

    import atmodist

    x = keras.Input((16, 16, 2))
    network = keras.Model(x, keras.layers.Conv2D(2, 1, name="identity", use_bias=False)(x))
    network.set_weights([np.eye(2)[None, None]])
    loss = atmodist.ContentLoss.from_package("encoder", pixel_weight=0.5)
    network.compile(optimizer="sgd", loss=loss)
    network.save("content_loss.keras")


def save_package():
    import srgan

    srgan.save_generator("generator-run", "generator")


def tidy():
    """Removes what is for people, holds the name of the machine, or is made again when missing."""
    for pattern in ("**/tensorboard", "**/figures", "**/parts"):
        for folder in list(Path().glob(pattern)):
            shutil.rmtree(folder)
    for pattern in ("**/report.html", "**/*.png", "**/*.pdf", "**/.lock"):
        for path in list(Path().glob(pattern)):
            path.unlink()
    shutil.copyfile("ordinal/pretext.keras", "ordinal.keras")
    shutil.rmtree("ordinal")


def pack():
    def plain(member):
        member.uid = member.gid = member.mtime = 0
        member.uname = member.gname = ""
        return member

    names = sorted(Path().iterdir())
    with tarfile.open("files.tar.xz", "w:xz", preset=9) as archive:
        for name in names:
            archive.add(name, filter=plain)


def save_expected():
    """What the tests compare with, observed as they observe it."""
    path = HERE.parents[1] / "test_made_by_0_1.py"
    spec = importlib.util.spec_from_file_location("test_made_by_0_1", path)
    tests = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tests)
    archive, found = Path("files.tar.xz").resolve(), {}
    for name, observe in tests.OBSERVATIONS.items():
        with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
            tests.unpack(archive, folder)
            found[name] = observe()
    Path("expected.json").write_text(tests.as_text(found), encoding="utf-8")


if __name__ == "__main__":
    import atmodist

    print(atmodist.__file__)
    assert atmodist.__version__ == "0.1.0"
    small_network()
    for command in (HERE / "commands.txt").read_text().splitlines():
        run(command)
    save_loss()
    save_package()
    tidy()
    pack()
    save_expected()
