"""Networks on disk: one `.keras` file, whole or not there, that runs nothing when it is loaded."""

import zipfile
from pathlib import Path

import keras

from atmodist.files.outputs import atomic_path

SUFFIX = ".keras"
UNREADABLE = (KeyError, TypeError, ValueError, OSError, RecursionError, zipfile.BadZipFile)


def save_network(network: keras.Model, path: str | Path) -> None:
    """Saves a network, atomically."""
    with atomic_path(path) as temporary:
        named = temporary.with_name(f"{temporary.name}{SUFFIX}")  # Keras insists on the suffix
        try:
            network.save(named)
            named.replace(temporary)
        finally:
            named.unlink(missing_ok=True)


def load_network(path: str | Path) -> keras.Model:
    """Loads a network in Keras' safe mode, without optimiser and loss.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no `.keras` file, or one that this release of Keras cannot load.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no network {path}; `rplearn-train` makes one")
    if path.suffix != SUFFIX or not zipfile.is_zipfile(path):
        raise ValueError(f"{path} is no network saved by Keras (a {SUFFIX} file); was it cut?")
    try:
        return keras.models.load_model(path, compile=False, safe_mode=True)
    except UNREADABLE as error:
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise ValueError(f"Keras cannot load {path}: {reason[0]}") from error
