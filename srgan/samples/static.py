"""Static channels: what does not change with time, on the grid of high resolution.

They come from NetCDF-4/HDF5 files of two-dimensional fields (orography, land-sea mask), each
standardised to mean zero and standard deviation one over the area of the grid; or they are the
word "latitude", the sine of the latitude φ. Values are kept as (latitude, longitude, channel).
"""

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin  # noqa: F401  registers the filters that files may use
import numpy as np

from atmodist.fields.grid import Grid
from atmodist.files.outputs import atomic_path

LATITUDE = "latitude"
STATIC_FILE = "static.npz"
GRID_FILE = "grid.npz"
_AXES = {"latitude": ("latitude", "lat", "y"), "longitude": ("longitude", "lon", "x")}


@dataclass(frozen=True, eq=False)
class StaticChannels:
    """Fields that do not change with time.

    Attributes:
        names: In the order of the last axis.
        values: (latitude, longitude, channel) float32, standardised.
        mean: What was subtracted, in the units of the file. Shape (channel,).
        std: What was divided by, in the units of the file. Shape (channel,).
    """

    names: tuple[str, ...]
    values: np.ndarray
    mean: np.ndarray
    std: np.ndarray

    def save(self, folder: Path) -> None:
        """Writes `static.npz`."""
        _save(
            folder / STATIC_FILE,
            values=self.values,
            names=np.array(self.names),
            mean=self.mean,
            std=self.std,
        )

    @classmethod
    def load(cls, folder: Path) -> "StaticChannels":
        """Reads `static.npz` of a folder."""
        content = _load(folder / STATIC_FILE, ("values", "names", "mean", "std"))
        names = tuple(str(name) for name in content["names"])
        return cls(names, content["values"], content["mean"], content["std"])


def read_static(sources: Sequence[str], grid: Grid) -> StaticChannels | None:
    """Reads static channels that lie on a grid.

    Args:
        sources: Each a file, of which all fields on the grid are taken; or `file:variable` for one
            of them; or "latitude".
        grid: The grid of high resolution.

    Returns:
        None if there are no sources.

    Raises:
        ValueError: If a source is no such file, lies on another grid, or has missing values.
    """
    fields: dict[str, tuple[np.ndarray, float, float]] = {}
    for source in sources:
        if source == LATITUDE:
            sine = np.sin(np.radians(grid.latitude))[:, None]
            found = {LATITUDE: (np.broadcast_to(sine, grid.shape), 0.0, 1.0)}
        else:
            found = {
                name: (field, *_moments(field, grid, f"{source}: {name}"))
                for name, field in _read_file(source, grid).items()
            }
        for name in found:
            if name in fields:
                raise ValueError(f"static channels must have different names; {name!r} is twice")
        fields |= found
    if not fields:
        return None
    values = [(field - mean) / std for field, mean, std in fields.values()]
    return StaticChannels(
        names=tuple(fields),
        values=np.stack(values, axis=-1).astype(np.float32),
        mean=np.array([mean for _, mean, _ in fields.values()]),
        std=np.array([std for _, _, std in fields.values()]),
    )


def save_grid(folder: Path, grid: Grid) -> None:
    """Writes `grid.npz`: the coordinates of the high resolution, in degrees."""
    _save(folder / GRID_FILE, latitude=grid.latitude, longitude=grid.longitude)


def load_grid(folder: Path) -> Grid:
    """Reads `grid.npz` of a folder."""
    return Grid(**_load(folder / GRID_FILE, ("latitude", "longitude")))


def file_of(source: str) -> tuple[str, str]:
    """The file of a source, and the variable of `file:variable`; "" for all of a file."""
    path, _, variable = (source, "", "") if Path(source).exists() else source.rpartition(":")
    return path or source, variable


def _read_file(source: str, grid: Grid) -> dict[str, np.ndarray]:
    path, variable = file_of(source)
    if not Path(path).is_file():
        raise FileNotFoundError(f'there is no file {path} (a static field, or the word "latitude")')
    try:
        with h5py.File(path, "r") as file:
            return _read_variables(file, path, variable, grid)
    except OSError as error:
        raise ValueError(
            f"{path} is not NetCDF-4 or HDF5 ({error}); older NetCDF becomes it by `nccopy -k nc4`"
        ) from None


def _read_variables(file: h5py.File, path: str, variable: str, grid: Grid) -> dict[str, np.ndarray]:
    if variable and not isinstance(file.get(variable), h5py.Dataset):
        raise ValueError(f"{path} has no variable {variable!r}; it has {', '.join(sorted(file))}")
    order = _order_of(file, path, grid)
    result = {}
    for name in [variable] if variable else sorted(file):
        dataset = file[name]
        if not isinstance(dataset, h5py.Dataset) or dataset.dtype.kind not in "fiu":
            continue
        leading, shape = dataset.shape[:-2], dataset.shape[-2:]
        if shape == grid.shape and all(size == 1 for size in leading):
            result[name] = _unpacked(dataset, f"{path}: {name}").reshape(shape)[order]
    if not result:
        rows, columns = grid.shape
        raise ValueError(
            f"{path} has no field of {rows} x {columns} points, as the archive has"
            + (f", named {variable}" if variable else "")
        )
    return result


def _order_of(file: h5py.File, path: str, grid: Grid) -> tuple[np.ndarray, ...]:
    """Indices that bring the rows and columns of a file into the order of the grid."""
    indices = []
    for axis, wanted in (("latitude", grid.latitude), ("longitude", grid.longitude)):
        name = next((n for n in _AXES[axis] if n in file), None)
        if name is None:
            indices.append(np.arange(len(wanted)))  # nothing to tell by: taken as it is
            continue
        found = np.asarray(file[name][...], np.float64).ravel()
        distance = np.abs(found[None, :] - wanted[:, None])
        if axis == "longitude":
            distance = np.abs((distance + 180) % 360 - 180)
        nearest = distance.argmin(axis=1)
        spacing = np.abs(np.diff(wanted)).min()
        if distance[np.arange(len(wanted)), nearest].max() > 0.02 * spacing:
            raise ValueError(
                f"{path} lies on another grid than the archive: its {axis}s are "
                f"{found[0]:g} .. {found[-1]:g}, the archive's {wanted[0]:g} .. {wanted[-1]:g}"
            )
        indices.append(nearest)
    return np.ix_(*indices)


def _unpacked(dataset: h5py.Dataset, what: str) -> np.ndarray:
    raw = dataset[...]
    attributes: dict[str, Any] = {
        name: np.ravel(dataset.attrs[name])[0]
        for name in ("_FillValue", "missing_value", "scale_factor", "add_offset")
        if name in dataset.attrs
    }
    missing = ~np.isfinite(raw)
    for name in ("_FillValue", "missing_value"):
        if name in attributes:
            missing |= raw == attributes[name]
    if missing.any():
        raise ValueError(f"{what} has {int(missing.sum())} missing values; fill them first")
    return raw * float(attributes.get("scale_factor", 1)) + float(attributes.get("add_offset", 0))


def _moments(field: np.ndarray, grid: Grid, what: str) -> tuple[float, float]:
    mean = float((field * grid.area_weights).sum())
    std = float(np.sqrt(((field - mean) ** 2 * grid.area_weights).sum()))
    if not std > 0:
        raise ValueError(f"{what} is the same everywhere ({mean:g}); a static channel must vary")
    return mean, std


def _save(path: Path, **arrays: np.ndarray) -> None:
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]


def _load(path: Path, names: Sequence[str]) -> dict[str, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in names}
    except FileNotFoundError:
        raise ValueError(f"{path} is missing; restore it or make the records again") from None
    except (KeyError, zipfile.BadZipFile, ValueError) as error:
        raise ValueError(f"{path} is damaged ({error}); make the records again") from None
