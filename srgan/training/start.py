"""Starting a run with the weights that the pre-training of another one ended with."""

from pathlib import Path

import keras

from atmodist.fields.normalization import Normalization
from atmodist.training.saving import load_network
from srgan.generators.package import NORMALIZATION
from srgan.training.judge import PRETRAINED
from srgan.training.source import PatchSource


def take_weights(network: keras.Model, run: Path, source: PatchSource) -> None:
    """Gives a generator the weights that another run's pre-training ended with.

    Raises:
        FileNotFoundError: If there is no such run, or its pre-training has not ended.
        ValueError: If its network or normalisation is another one.
    """
    path = run / PRETRAINED
    if not path.is_file():
        raise FileNotFoundError(
            f"there is no {path} to start from; it is made when the pre-training of a run ends."
        )
    normalization, saved = source.normalization, run / NORMALIZATION
    if normalization is not None and saved.is_file():
        normalization.require_same(
            Normalization.load(saved), ours="the records", theirs=f"the generator in {run}"
        )
    other = load_network(path)
    shapes = [
        {weight.path: tuple(weight.shape) for weight in model.weights} for model in (network, other)
    ]
    if shapes[0] != shapes[1]:
        name, shape = sorted(shapes[0].items() ^ shapes[1].items())[0]
        raise ValueError(
            f"the generator in {run} is another network than this configuration asks for: they "
            f"differ in {name} {shape}. Give the same records, filters, blocks, noise_channels "
            "and consistency."
        )
    network.set_weights(other.get_weights())
