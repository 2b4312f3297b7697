import pytest

from atmodist.fields.opening import open_dataset
from atmodist.files.errors import UnsupportedFileError


@pytest.mark.parametrize(
    ("head", "message"),
    [
        (b"GRIB\x00\x00", r"is a GRIB file, .*make an archive of it first \(atmodist ingest\)$"),
        (b"CDF\x05\x00", r"variant CDF-5, .*convert it first \(nccopy -k nc4\)$"),
        (b"# Notes\n", r"is text \(it begins '# Notes'\), not an archive, NetCDF 3 or 4, or Zarr$"),
    ],
)
def test_what_is_no_netcdf_is_called_what_it_is(tmp_path, head, message):
    (tmp_path / "a.nc").write_bytes(head)
    with pytest.raises(UnsupportedFileError, match=message):
        open_dataset(str(tmp_path / "a.nc"))
