"""Files that a virtual HDF5 dataset joins; HDF5 reads what is missing as zeros, without a word."""

import glob
from pathlib import Path

import h5py


def require_sources(dataset: h5py.Dataset, path: Path) -> None:
    """Looks for all that a dataset joins, and what that joins in turn.

    Args:
        dataset: Any dataset.
        path: Its file.

    Raises:
        ValueError: Names what is missing.
    """
    for source in dataset.virtual_sources() if dataset.is_virtual else ():
        name = source.file_name
        if "%b" in name:  # numbered files, as many as there are
            if not glob.glob(str(path.parent / name.replace("%b", "*"))):  # noqa: PTH207
                raise ValueError(f"{path} joins files, and {name} are missing")
            continue
        own = name == "."
        place = path if own else path.parent / name
        if not own and not place.is_file():
            raise ValueError(f"{path} joins files, and {name} is missing")
        with h5py.File(place, "r") as file:
            part = file.get(source.dset_name)
            if not isinstance(part, h5py.Dataset):
                raise ValueError(f"{path} joins files, and {name} lacks {source.dset_name}")
            require_sources(part, place)


def require_all_sources(path: str | Path) -> None:
    """`require_sources` of all datasets at the root of a file."""
    with h5py.File(path, "r") as file:
        for dataset in file.values():
            if isinstance(dataset, h5py.Dataset):
                require_sources(dataset, Path(path))
