import h5py
import numpy as np
import pytest

from atmodist.fields.virtual_sources import require_all_sources


def joined(path, name, source):
    layout = h5py.VirtualLayout((4,), "f8")
    layout[:] = h5py.VirtualSource(source, name, (4,))
    with h5py.File(path, "w") as file:
        file.create_virtual_dataset(name, layout)


def test_parts_of_parts_are_looked_for_too(tmp_path):
    with h5py.File(tmp_path / "part.h5", "w") as file:
        file["u"] = np.ones(4)
    (tmp_path / "sub").mkdir()
    joined(tmp_path / "sub" / "middle.h5", "u", "../part.h5")
    joined(tmp_path / "whole.h5", "u", "sub/middle.h5")
    require_all_sources(tmp_path / "whole.h5")
    (tmp_path / "part.h5").unlink()
    with pytest.raises(ValueError, match=r"middle\.h5 joins files, and \.\./part\.h5 is missing"):
        require_all_sources(tmp_path / "whole.h5")


def test_numbered_parts_must_be_there(tmp_path):
    with h5py.File(tmp_path / "part-0.h5", "w") as file:
        file["u"] = np.ones((1, 4))
    layout = h5py.VirtualLayout((1, 4), "f8", maxshape=(None, 4))
    layout[: h5py.h5s.UNLIMITED] = h5py.VirtualSource("part-%b.h5", "u", (1, 4))
    with h5py.File(tmp_path / "whole.h5", "w") as file:
        file.create_virtual_dataset("u", layout)
    require_all_sources(tmp_path / "whole.h5")
    (tmp_path / "part-0.h5").unlink()
    with pytest.raises(ValueError, match=r"whole\.h5 joins files, and part-%b\.h5 are missing"):
        require_all_sources(tmp_path / "whole.h5")
