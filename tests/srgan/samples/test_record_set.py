import pytest

from atmodist.files.outputs import read_json, write_json
from srgan.samples.record_set import PatchRecords, open_patch_records
from tests.srgan.samples.sources import write_records

ALONE = {"evaluation": (2,)}


def beside(root, name, **options):
    """A set of records as its neighbours in `<root>/<name>/1.0.0`."""
    made = write_records(root / name, **options)
    target = root / name / "1.0.0"
    made.folder.rename(target)
    made.folder.parent.rmdir()
    return target


def test_of_several_sets_the_one_to_train_on_is_opened(tmp_path):
    patches = beside(tmp_path, "patches")
    fields = beside(tmp_path, "patches_fields", counts=ALONE)
    assert open_patch_records(tmp_path).folder == patches
    assert open_patch_records(fields).folder == fields
    assert open_patch_records(fields.parent).folder == fields


@pytest.mark.parametrize("counts", [None, ALONE])
def test_several_sets_alike_are_not_chosen_among(tmp_path, counts):
    for name in ("one", "two"):
        beside(tmp_path, name, counts=counts)
    with pytest.raises(ValueError, match=r"several sets of records; name one of .*one.*two"):
        open_patch_records(tmp_path)


def test_what_the_sets_have_in_common_comes_back(tmp_path):
    records = write_records(tmp_path, factors=(2, 3), patch_shape=(12, 18), static=("latitude",))
    found = PatchRecords.load(records.folder)
    assert (found.factor, found.factors, found.low_shape) == (6, (2, 3), (2, 3, 2))
    assert found.tensor_shapes() == {"data_LR": (2, 3, 2), "data_HR": (12, 18, 2)}
    assert found.static == ("latitude",)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"alignment": "askew"}, "alignment is 'askew'"),
        ({"degradation": 3}, "degradation is 3"),
        ({"factors": [4]}, "a list of primes"),
        ({"patch_shape": [8]}, "patch_shape must be two integers"),
    ],
)
def test_edited_facts_are_refused(tmp_path, change, text):
    path = write_records(tmp_path).folder / "records.json"
    write_json(path, {**read_json(path), **change})
    with pytest.raises(ValueError, match=text):
        open_patch_records(tmp_path)
