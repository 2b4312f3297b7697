import pytest

from atmodist.fields.described_grid import described_grid, grid_of
from atmodist.fields.grid import make_grid
from atmodist.files.outputs import plain_config
from atmodist.files.packaging import PackageFormat, check_license, hub_address, without_folders

FORMAT = PackageFormat(
    what="oracle",
    name="test-oracle",
    version=3,
    network="oracle.keras",
    required=("facts.json",),
    made_by="train-oracle",
    max_bytes={"facts.json": 8},
)


def test_a_folder_that_lacks_something_says_what_makes_one(tmp_path):
    with pytest.raises(FileNotFoundError, match="`train-oracle` makes one with an oracle"):
        FORMAT.opened(tmp_path / "none").__enter__()
    with pytest.raises(FileNotFoundError, match=r"holds no oracle: it lacks oracle\.keras"):
        FORMAT.opened(tmp_path).__enter__()


def test_files_of_incredible_length_are_refused(tmp_path):
    (tmp_path / "oracle.keras").write_bytes(b"x")
    (tmp_path / "facts.json").write_text("a long text")
    with pytest.raises(ValueError, match=r"facts\.json has 11 bytes; expected between 1 and 8"):
        FORMAT.opened(tmp_path).__enter__()


def test_a_folder_is_replaced_only_if_it_is_such_a_package(tmp_path):
    def write(folder, name):
        (folder / "facts.json").write_text(name)
        FORMAT.write_manifest(folder, ["facts.json"], {"made": "for a test"})

    for _ in range(2):
        assert FORMAT.save(tmp_path / "delphi", write) == str(tmp_path / "delphi")
    assert FORMAT.is_package(tmp_path / "delphi")
    (tmp_path / "other").mkdir()
    with pytest.raises(ValueError, match="other exists and is no oracle package"):
        FORMAT.save(tmp_path / "other", write)


def test_grids_come_back_from_a_manifest():
    grid = make_grid("gauss", 6)
    assert grid_of(plain_config(described_grid(grid)), "").matches(grid)
    assert grid_of(None, "") is None
    with pytest.raises(ValueError, match="the grid of x is none"):
        grid_of({"latitude": [1, 2]}, "the grid of x")


def test_paths_lose_their_folders_and_addresses_are_read():
    assert without_folders({"/a/b": ["~/c/d.h5", "s-1", 1]}) == {"b": ["d.h5", "s-1", 1]}
    assert hub_address("hf://a/b@v1") == ("a/b", "v1")
    with pytest.raises(ValueError, match="`license`"):
        check_license("two words")
