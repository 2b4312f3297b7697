"""Opening NetCDF files, classic and 4, and Zarr stores as xarray datasets, with clear errors."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from atmodist.fields.zarr_store import checked_store, is_zarr
from atmodist.files.errors import BrokenFileError, UnsupportedFileError
from atmodist.files.file_kinds import file_kind, mismatch

if TYPE_CHECKING:
    import xarray as xr

# What libraries raise when a file is cut short depends on where it ends.
LIBRARY_FAULTS = (
    OSError, RuntimeError, EOFError, ValueError, TypeError, KeyError, IndexError, MemoryError,
)  # fmt: skip


def open_dataset(path: str) -> "xr.Dataset":
    """Opens a file or store with the engine for its format, without decoding times.

    Raises:
        BrokenFileError: If it is damaged.
        UnsupportedFileError: If it is sound, but not read.
        ImportError: If the package that reads it is missing; says how to install it.
    """
    with reporting(path, LIBRARY_FAULTS), warnings.catch_warnings():
        # That texts (expver) have no specification in Zarr 3 is nobody's concern here.
        warnings.simplefilter("ignore", FutureWarning)
        return _open_zarr(path) if is_zarr(path) else _open_netcdf(path)


@contextmanager
def reporting(
    path: str, faults: tuple[type[Exception], ...] = (OSError, RuntimeError, EOFError)
) -> Iterator[None]:
    """Names the file in what libraries raise over damaged ones."""
    try:
        yield
    except (BrokenFileError, UnsupportedFileError, FileNotFoundError, PermissionError):
        raise
    except faults as error:
        text = " ".join(str(error).split())[:200]
        raise BrokenFileError(f"{path} is damaged or cut short ({text})") from error


def _open_zarr(path: str) -> "xr.Dataset":
    import xarray as xr

    store = checked_store(path)
    try:
        dataset = xr.open_dataset(
            store,  # type: ignore[arg-type]  # the Zarr engine takes stores
            engine="zarr",
            consolidated=False,  # what is there now, not what was when it was written
            decode_times=False,
            chunks=None,
            cache=False,
        )
    except BaseException:
        store.close()
        raise
    dataset.set_close(store.close)
    return dataset


def _open_netcdf(path: str) -> "xr.Dataset":
    import xarray as xr

    kind = file_kind(path)
    if kind == "classic NetCDF":
        engine = "scipy"
    elif kind == "hdf5":
        engine = "h5netcdf"
        try:
            import h5netcdf  # type: ignore[import-untyped]  # noqa: F401
        except ImportError:
            raise ImportError(
                f"{path} is NetCDF-4, which needs h5netcdf: pip install 'atmodist[netcdf]'"
            ) from None
        _require_sources(path)
    else:
        raise UnsupportedFileError(mismatch(path, "an archive, NetCDF 3 or 4, or Zarr"))
    return xr.open_dataset(path, engine=engine, decode_times=False, chunks=None, cache=False)


def _require_sources(path: str) -> None:
    from atmodist.fields.virtual_sources import require_all_sources

    try:
        require_all_sources(path)
    except ValueError as error:
        raise BrokenFileError(str(error)) from None
