"""Small GRIB, NetCDF and Zarr files with winds of known vorticity, for tests of ingestion."""

import warnings
from pathlib import Path

import numpy as np
import xarray as xr
import zarr

from atmodist.fields.grid import Grid, make_grid
from atmodist.files.constants import EARTH_RADIUS

GRID = make_grid("regular", 19)  # 10 degrees
START = np.datetime64("2020-01-01T00", "s")
HOUR = 3600
SPEED = 20.0  # m s⁻¹
SCALE = 2 * SPEED / EARTH_RADIUS  # the largest vorticity


def rotation(step: int, grid: Grid = GRID) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """u, v and vorticity of a rotation whose axis tilts further with each step; no divergence."""
    phi, lam = np.radians(grid.latitude)[:, None], np.radians(grid.longitude)[None, :]
    tilt = 0.3 + 0.1 * step
    u = SPEED * (np.cos(phi) * np.cos(tilt) + np.sin(phi) * np.cos(lam) * np.sin(tilt))
    v = -SPEED * np.sin(lam) * np.sin(tilt) * np.ones_like(phi)
    vorticity = np.sin(phi) * np.cos(tilt) - np.cos(phi) * np.cos(lam) * np.sin(tilt)
    return u, v, SCALE * vorticity


def seconds(step: int, hours: int = 6) -> int:
    """Valid time of a step."""
    return int(START.astype(np.int64)) + step * hours * HOUR


def dataset(steps, grid: Grid = GRID, *, names=("u", "v"), units="m s**-1", **extra) -> xr.Dataset:
    """Winds of some steps as CDS files hold them, axes (valid_time, latitude, longitude)."""
    fields = np.array([rotation(step, grid)[:2] for step in steps])
    dims = ("valid_time", "latitude", "longitude")
    coords = {
        "valid_time": ("valid_time", [seconds(s) for s in steps], time_attributes()),
        "latitude": ("latitude", grid.latitude, {"units": "degrees_north"}),
        "longitude": ("longitude", grid.longitude, {"units": "degrees_east"}),
    }
    attributes = {"units": units} if units else {}
    variables = {name: (dims, fields[:, i], attributes) for i, name in enumerate(names)}
    return xr.Dataset({**variables, **extra}, coords)


def time_attributes(calendar: str = "standard") -> dict[str, str]:
    """Attributes of a CF time axis in seconds."""
    return {"units": "seconds since 1970-01-01", "calendar": calendar, "standard_name": "time"}


def write_netcdf(path: Path, content: xr.Dataset, *, classic: bool = False, **options) -> str:
    """Writes NetCDF-4, or classic NetCDF."""
    engine = "scipy" if classic else "h5netcdf"
    content.to_netcdf(path, engine=engine, **options)
    return str(path)


def write_zarr(path: Path, content: xr.Dataset, *, version: int = 2, **options) -> str:
    """Writes a Zarr store; a zip file where the name says so."""
    target = zarr.storage.ZipStore(path, mode="w") if path.suffix == ".zip" else path
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # version 3 may not consolidate, nor zip files overwrite
        content.to_zarr(target, zarr_format=version, consolidated=False, **options)
    if path.suffix == ".zip":
        target.close()
    return str(path)


def write_grib(
    path: Path,
    steps,
    *,
    names=("u", "v"),
    edition: int = 2,
    level: int = 850,
    grid: Grid = GRID,
    south_first: bool = False,
    forecast: bool = False,
    missing: int = 0,
    gauss_number: int | None = None,
    mode: str = "wb",
) -> str:
    """Writes one message per step and name.

    Args:
        forecast: Steps are lead times of one run.
        gauss_number: Of the whole Gauss grid, where `grid` is a part of it.
    """
    import eccodes as ec

    gauss_number = grid.shape[0] // 2 if grid.kind == "gauss" else gauss_number
    kind = "gg" if gauss_number else "ll"
    with path.open(mode) as file:
        for step in steps:
            fields = dict(zip(("u", "v", "vo"), rotation(step, grid), strict=True))
            for name in names:
                handle = ec.codes_grib_new_from_samples(f"regular_{kind}_pl_grib{edition}")
                date = START + np.timedelta64(0 if forecast else step * 6, "h")
                text = str(date)
                rows, columns = grid.shape
                ends = grid.latitude[[-1, 0]] if south_first else grid.latitude[[0, -1]]
                keys = {
                    "Ni": columns,
                    "Nj": rows,
                    "longitudeOfFirstGridPointInDegrees": float(grid.longitude[0] % 360),
                    "longitudeOfLastGridPointInDegrees": float(grid.longitude[-1] % 360),
                    "iDirectionIncrementInDegrees": float(grid.longitude[1] - grid.longitude[0]),
                    "jScansPositively": int(south_first),
                    "latitudeOfFirstGridPointInDegrees": float(ends[0]),
                    "latitudeOfLastGridPointInDegrees": float(ends[1]),
                    "dataDate": int(text[:10].replace("-", "")),
                    "dataTime": int(text[11:13]) * 100,
                    "step": 6 * step if forecast else 0,
                    "shortName": name,
                    "level": level,
                    "bitsPerValue": 24,
                }
                if kind == "gg":
                    keys["N"] = gauss_number
                else:
                    keys["jDirectionIncrementInDegrees"] = float(
                        grid.latitude[0] - grid.latitude[1]
                    )
                for key, value in keys.items():
                    ec.codes_set(handle, key, value)
                values = fields[name][::-1] if south_first else fields[name]
                values = np.array(values, np.float64).ravel()
                if missing:
                    ec.codes_set(handle, "bitmapPresent", 1)
                    ec.codes_set(handle, "missingValue", 9999.0)
                    values[:missing] = 9999.0
                ec.codes_set_values(handle, values)
                ec.codes_write(handle, file)
                ec.codes_release(handle)
    return str(path)


HTML = b"<!DOCTYPE html>\n<html><head><title>404 Not Found</title></head></html>\n"
