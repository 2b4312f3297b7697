import csv
import errno
import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from atmodist.files.outputs import (
    FINGERPRINT_BLOCK,
    FINGERPRINT_PLACES,
    FINGERPRINT_WHOLE,
    atomic_path,
    digest,
    fingerprint,
    manifest_path,
    package_versions,
    plain_config,
    read_json,
    remove,
    require_format,
    write_csv,
    write_json,
    write_manifest,
)


class FailureError(Exception):
    pass


def names(folder):
    return sorted(item.name for item in folder.iterdir())


def make_file(path, text):
    path.write_text(text)


def make_folder(path, text):
    path.mkdir()
    (path / "inside").write_text(text)


def content(path):
    return (path / "inside" if path.is_dir() else path).read_text()


@pytest.mark.parametrize(
    ("make", "make_old"),
    [
        (make_file, None),
        (make_file, make_file),
        (make_folder, None),
        (make_folder, make_folder),
    ],
)
def test_outputs_appear_when_they_are_complete(tmp_path, make, make_old):
    target = tmp_path / "out"
    if make_old:
        make_old(target, "old")
    with atomic_path(target) as temporary:
        assert temporary.parent == target.parent  # a rename across disks is a copy
        make(temporary, "new")
        assert content(target) == "old" if make_old else not target.exists()
    assert content(target) == "new"
    assert names(tmp_path) == ["out"]


@pytest.mark.parametrize("make", [make_file, make_folder])
@pytest.mark.parametrize("make_old", [None, make_file, make_folder])
def test_a_failure_leaves_what_was_there_and_nothing_else(tmp_path, make, make_old):
    target = tmp_path / "out"
    if make_old:
        make_old(target, "old")

    def fail():
        with atomic_path(target) as temporary:
            make(temporary, "new")
            raise FailureError

    with pytest.raises(FailureError):
        fail()
    assert names(tmp_path) == (["out"] if make_old else [])
    assert not make_old or content(target) == "old"


@pytest.mark.parametrize(
    ("make", "make_old", "error"),
    [
        (make_file, make_folder, IsADirectoryError),
        (make_folder, make_file, NotADirectoryError),
    ],
)
def test_a_file_replaces_no_folder_nor_a_folder_a_file(tmp_path, make, make_old, error):
    target = tmp_path / "out"
    make_old(target, "old")
    with pytest.raises(error, match="out'"), atomic_path(target) as temporary:
        make(temporary, "new")
    assert content(target) == "old"
    assert names(tmp_path) == ["out"]


def test_missing_folders_are_made(tmp_path):
    write_json(tmp_path / "a" / "b" / "c.json", [])
    assert read_json(tmp_path / "a" / "b" / "c.json") == []


def test_a_killed_writer_leaves_the_old_file(tmp_path):
    write_json(tmp_path / "a.json", "old")
    code = (
        "import os, signal, sys; from atmodist.files.outputs import atomic_path\n"
        "with atomic_path(sys.argv[1]) as temporary:\n"
        "    temporary.write_text('half of'); os.kill(os.getpid(), signal.SIGKILL)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "a.json")]
    assert subprocess.run(command).returncode == -9
    assert read_json(tmp_path / "a.json") == "old"


def test_errors_name_the_target_not_the_temporary_file(tmp_path):
    def fill_disk():
        with atomic_path(tmp_path / "out"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # as `write` raises it

    with pytest.raises(OSError, match=r"No space left on device: '.*/out'") as caught:
        fill_disk()
    assert caught.value.filename == str(tmp_path / "out")

    def open_missing():
        with atomic_path(tmp_path / "out"):
            Path("/nowhere/at/all").read_text()

    with pytest.raises(FileNotFoundError) as caught:
        open_missing()
    assert caught.value.filename == "/nowhere/at/all"  # another file's error keeps its name


def test_nothing_made_is_an_error_by_name(tmp_path):
    with pytest.raises(FileNotFoundError), atomic_path(tmp_path / "out"):
        pass


def test_removing_a_link_to_a_folder_keeps_the_folder(tmp_path):
    make_folder(tmp_path / "folder", "kept")
    (tmp_path / "link").symlink_to(tmp_path / "folder")
    remove(tmp_path / "link")
    remove(tmp_path / "link")  # nothing there: nothing to do
    assert names(tmp_path) == ["folder"]
    assert content(tmp_path / "folder") == "kept"


SIZES = [0, 1, FINGERPRINT_BLOCK, FINGERPRINT_WHOLE, FINGERPRINT_WHOLE + 1]


@pytest.mark.parametrize("size", SIZES)
def test_fingerprint_follows_content_and_not_the_name(tmp_path, size):
    data = np.random.default_rng(size).bytes(size)
    (tmp_path / "a").write_bytes(data)
    (tmp_path / "b").write_bytes(data)
    first = fingerprint(tmp_path / "a")
    assert first.startswith("sha256:")
    assert fingerprint(tmp_path / "b") == first
    (tmp_path / "b").write_bytes(data + b"x")
    assert fingerprint(tmp_path / "b") != first


@pytest.mark.parametrize("place", range(FINGERPRINT_PLACES))
def test_fingerprint_notices_a_byte_changed_at_each_of_its_places(tmp_path, place):
    size = 2 * FINGERPRINT_WHOLE
    with (tmp_path / "a").open("wb") as file:
        file.truncate(size)  # sparse: takes no room
    before = fingerprint(tmp_path / "a")
    with (tmp_path / "a").open("r+b") as file:
        file.seek((size - FINGERPRINT_BLOCK) * place // (FINGERPRINT_PLACES - 1))
        file.write(b"x")
    assert fingerprint(tmp_path / "a") != before


@pytest.mark.parametrize("size", [100, FINGERPRINT_WHOLE])
def test_fingerprint_of_a_small_file_covers_every_byte(tmp_path, size):
    (tmp_path / "a").write_bytes(bytes(size))
    before = fingerprint(tmp_path / "a")
    for offset in np.random.default_rng(0).integers(size, size=5):
        changed = bytearray(size)
        changed[offset] = 1
        (tmp_path / "a").write_bytes(changed)
        assert fingerprint(tmp_path / "a") != before


def test_fingerprint_reads_no_byte_twice_and_little_of_a_large_file(tmp_path, monkeypatch):
    count = 0
    opened = Path.open

    def counting(path, *arguments, **options):
        file = opened(path, *arguments, **options)

        class Counted:
            def __enter__(self):
                return self

            def __exit__(self, *_):
                file.close()

            def seek(self, offset):
                file.seek(offset)

            def read(self, size=-1):
                nonlocal count
                content = file.read(size)
                count += len(content)
                return content

        return Counted()

    sizes = {"small": 1000, "large": 4 * FINGERPRINT_WHOLE}
    for name, size in sizes.items():
        with (tmp_path / name).open("wb") as file:
            file.truncate(size)
    monkeypatch.setattr(Path, "open", counting)
    fingerprint(tmp_path / "small")
    assert count == sizes["small"]
    fingerprint(tmp_path / "large")
    assert count == sizes["small"] + FINGERPRINT_PLACES * FINGERPRINT_BLOCK


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@settings(max_examples=15)  # each is synced to disk
@given(PLAIN)
def test_json_comes_back_as_it_was(tmp_path_factory, value):
    path = tmp_path_factory.getbasetemp() / "value.json"
    write_json(path, value)
    assert read_json(path) == value


@given(st.dictionaries(st.text(), st.integers(), min_size=2))
def test_digest_does_not_depend_on_the_order_of_keys(mapping):
    assert digest(mapping) == digest(dict(reversed(mapping.items())))
    changed = {**mapping, next(iter(mapping)): 2.5}
    assert digest(changed) != digest(mapping)


def test_digest_is_the_same_on_every_machine():
    assert digest({"b": [1, 2.5, None], "a": "µ"}) == "bbc84705e88372c0"


@dataclass(frozen=True)
class Inner:
    path: Path
    values: np.ndarray


@dataclass(frozen=True)
class Outer:
    inner: Inner
    shape: tuple[int, int]
    count: np.int64


def test_configurations_become_plain():
    config = Outer(Inner(Path("/a"), np.array([1.5, 2.0])), (3, 4), np.int64(7))
    plain = {"inner": {"path": "/a", "values": [1.5, 2.0]}, "shape": [3, 4], "count": 7}
    assert plain_config(config) == plain
    assert digest(config) == digest(plain)


def test_what_has_no_plain_form_is_refused(tmp_path):
    with pytest.raises(TypeError, match=r"cannot write a set as JSON: \{1\}"):
        write_json(tmp_path / "a.json", {"a": {1}})
    assert names(tmp_path) == []


@pytest.mark.parametrize("text", [b"", b'{"a": ', b"\xff\xfe"])
def test_a_damaged_json_file_is_named(tmp_path, text):
    (tmp_path / "a.json").write_bytes(text)
    with pytest.raises(ValueError, match=r"a.json is not valid JSON \(.*\); was it edited or cut"):
        read_json(tmp_path / "a.json")


def test_outputs_that_differ_in_their_suffix_have_manifests_of_their_own():
    assert manifest_path("x/a.h5") == Path("x/a.h5.manifest.json")
    assert manifest_path("x/a.json") != manifest_path("x/a.h5")


def test_a_manifest_says_how_an_output_was_made(tmp_path):
    (tmp_path / "input").write_text("fields")
    write_manifest(
        tmp_path / "manifest.json",
        command="rplearn-data",
        config=Outer(Inner(Path("/a"), np.array([1.0])), (3, 4), np.int64(7)),
        seed=5,
        inputs=[tmp_path / "input"],
        counts={"train": 10},
    )
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert manifest["command"] == "rplearn-data"
    assert manifest["config"]["inner"]["path"] == "/a"
    assert manifest["seed"] == 5
    assert manifest["counts"] == {"train": 10}
    assert manifest["inputs"] == {str(tmp_path / "input"): fingerprint(tmp_path / "input")}
    write_manifest(tmp_path / "m.json", command="x", config={}, inputs={"gone": "sha256:0"})
    assert json.loads((tmp_path / "m.json").read_text())["inputs"] == {"gone": "sha256:0"}
    assert {"python", "atmodist", "numpy", "h5py"} <= set(manifest["versions"])


def test_versions_leave_out_what_is_not_installed(monkeypatch):
    monkeypatch.setattr(
        "atmodist.files.outputs.VERSIONED_PACKAGES", ("numpy", "surely-not-installed")
    )
    assert package_versions().keys() == {"python", "numpy"}
    assert package_versions()["numpy"] == np.__version__


def test_csv_keeps_missing_values_empty(tmp_path):
    write_csv(tmp_path / "a.csv", [{"a": 1, "b": None}])
    with (tmp_path / "a.csv").open() as file:
        assert list(csv.DictReader(file)) == [{"a": "1", "b": ""}]
    write_csv(tmp_path / "none.csv", [])
    assert not (tmp_path / "none.csv").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([1], 'this is no recipe (it lacks "format": "atmodist-recipe")'),
        ({"format": "other", "version": 2}, "this is no recipe"),
        ({"format": "atmodist-recipe"}, "version None of this format is unknown; this release"),
        ({"format": "atmodist-recipe", "version": 1}, "reads version 2"),
    ],
)
def test_files_of_another_format_or_version_are_refused(content, message):
    require_format({"format": "atmodist-recipe", "version": 2}, "atmodist-recipe", 2, what="recipe")
    with pytest.raises(ValueError, match=re.escape(message)):
        require_format(content, "atmodist-recipe", 2, what="recipe")
