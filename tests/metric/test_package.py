import json
import shutil
import sys
import zipfile
from types import SimpleNamespace

import numpy as np
import pytest
import yaml
from numpy.testing import assert_array_equal

from atmodist import load_metric
from atmodist.fields.grid import make_grid
from atmodist.files.outputs import read_json, write_json
from atmodist.metric import package
from atmodist.metric.calibration import Calibration, StageCalibration
from atmodist.metric.lag_curve import LagCurve
from atmodist.metric.package import load_package, save_package
from atmodist.training.saving import save_network
from tests.metric.encoders import made_encoder, made_fields, made_normalization

GRID = make_grid("regular", 17, 32)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    normalization = made_normalization()
    save_network(made_encoder(), folder / "encoder.keras")
    normalization.save(folder / "normalization.json")
    config = {"architecture": "resnet-tiny", "records": "/disk/somebody/pairs", "seed": 7}
    write_json(
        folder / "manifest.json",
        {
            "command": "rplearn-train",
            "config": config,
            "seed": 7,
            "versions": {"keras": "3.15"},
            "inputs": {"/disk/somebody/pairs/train.tfrecord": "sha256:0"},
            "normalization": normalization.identity,
            "num_train": 1234,
            "best_epoch": 3,
        },
    )
    write_json(folder / "evaluation.json", {"best": {"accuracy": 0.5125, "loss": 1.25}})
    ones = np.ones(2)
    curve = LagCurve(lag_hours=[3, 6], median=ones, quantile16=ones, quantile84=ones, mean=ones)
    stage = StageCalibration(alpha=2.5, curve=curve)
    Calibration(step_seconds=10_800, stages={"stage2": stage}).save(folder / "calibration.json")
    return folder


@pytest.fixture
def made(run, tmp_path):
    save_package(run, tmp_path / "made", grid=GRID)
    return tmp_path / "made"


def test_a_package_comes_back(run, made):
    found, original = load_package(made), load_package(run)
    a, b = made_fields(GRID, 2)
    assert load_metric(made)(a, b) == load_metric(run)(a, b, grid=GRID)
    assert found.normalization.identity == original.normalization.identity
    assert found.calibration.alpha("stage2") == 2.5
    assert found.grid.matches(GRID)
    assert original.grid is None
    names = sorted(path.name for path in made.iterdir())
    assert names == sorted(package.FILES)


def test_a_package_of_a_package_is_the_same(made, tmp_path):
    save_package(made, tmp_path / "again" / "made")
    for name in ("encoder.keras", "normalization.json", "calibration.json", "README.md"):
        assert (tmp_path / "again/made" / name).read_bytes() == (made / name).read_bytes()
    assert read_json(tmp_path / "again/made/manifest.json") == read_json(made / "manifest.json")


def test_calibration_and_evaluation_are_optional(run, tmp_path):
    for name in ("encoder.keras", "normalization.json", "manifest.json"):
        shutil.copy(run / name, tmp_path / name)
    save_package(tmp_path, tmp_path / "made")
    assert load_package(tmp_path / "made").calibration is None
    card = (tmp_path / "made/README.md").read_text()
    assert "Calibrated: no" in card
    assert "metrics:" not in card


def test_the_card_says_what_the_manifest_says(made):
    _, front, body = (made / "README.md").read_text().split("---\n", 2)
    facts = yaml.safe_load(front)
    assert facts["license"] == "apache-2.0"
    assert facts["library_name"] == "keras"
    assert "atmodist" in facts["tags"]
    assert facts["metrics"] == ["accuracy"]
    for text in (
        "# made",
        "divergence (s-1), vorticity (s-1)",
        "64 x 64 x 2",
        f"Parameters: {made_encoder().count_params():,}",
        "| stage2 | 4 | 32 |",
        "Training pairs: 1234",
        "accuracy: 0.5125",
        "17 latitudes x 32 longitudes",
        "Calibrated: yes",
    ):
        assert text in body


def test_nobodys_folders_are_published(made):
    for name in ("manifest.json", "README.md"):
        assert "somebody" not in (made / name).read_text()
    training = read_json(made / "manifest.json")["training"]
    assert training["config"]["records"] == "pairs"
    assert list(training["inputs"]) == ["train.tfrecord"]


def test_a_package_is_replaced_and_nothing_else(run, made, tmp_path):
    save_package(run, made, license="mit")
    assert read_json(made / "manifest.json")["license"] == "mit"
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis/chapter.tex").write_text("text")
    with pytest.raises(ValueError, match="thesis exists and is no encoder package"):
        save_package(run, tmp_path / "thesis")
    with pytest.raises(ValueError, match=r"exists and is no encoder package"):
        save_package(run, run)
    with pytest.raises(ValueError, match="`license` must be an identifier"):
        save_package(run, tmp_path / "new", license="mit\ntags: [x]")
    assert not (tmp_path / "new").exists()


def rewrite(path, change):
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def append(path):
    with path.open("ab") as file:
        file.write(b" ")


def zip_in(path):
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("../evil.py", "print()")


def link(path):
    path.rename(path.with_suffix(".bak"))
    path.symlink_to(path.with_suffix(".bak"))


MANIFEST = "manifest.json"


@pytest.mark.parametrize(
    ("name", "damage", "error", "text"),
    [
        ("encoder.keras", lambda p: p.unlink(), FileNotFoundError, r"lacks encoder\.keras"),
        ("encoder.keras", append, ValueError, "is not the file that manifest.json describes"),
        ("normalization.json", append, ValueError, "is not the file that manifest.json describes"),
        ("calibration.json", lambda p: p.unlink(), FileNotFoundError, "lacks calibration.json"),
        ("normalization.json", link, ValueError, "normalization.json must be a plain file"),
        (MANIFEST, lambda p: p.write_text("{"), ValueError, "is not valid JSON"),
        (MANIFEST, lambda p: p.write_text("[]"), ValueError, "must hold an object"),
        (MANIFEST, lambda p: p.write_text(""), ValueError, "has 0 bytes"),
        (
            MANIFEST,
            lambda p: rewrite(p, lambda m: m.update(version=2)),
            ValueError,
            "version 2; this release reads",
        ),
        (
            MANIFEST,
            lambda p: rewrite(p, lambda m: m["files"].update({"../x": {}})),
            ValueError,
            r"lists '\.\./x', which is no part",
        ),
        (
            MANIFEST,
            lambda p: rewrite(p, lambda m: m["files"].pop("encoder.keras")),
            ValueError,
            r"does not list encoder\.keras",
        ),
        (
            MANIFEST,
            lambda p: rewrite(p, lambda m: m.update(normalization="0")),
            ValueError,
            "was trained with normalization 0",
        ),
        (
            MANIFEST,
            lambda p: rewrite(p, lambda m: m.update(grid={"latitude": [1, 2]})),
            ValueError,
            "the grid in manifest.json is none",
        ),
    ],
)
def test_damaged_packages_are_refused(made, name, damage, error, text):
    damage(made / name)
    with pytest.raises(error, match=text):
        load_package(made)


def test_networks_with_strange_members_are_refused(run, tmp_path):
    shutil.copytree(run, tmp_path / "run")
    zip_in(tmp_path / "run/encoder.keras")
    with pytest.raises(ValueError, match=r"holds '\.\./evil\.py'"):
        load_package(tmp_path / "run")


def test_networks_that_do_not_belong_are_refused(run, tmp_path):
    shutil.copytree(run, tmp_path / "run")
    save_network(made_encoder(channels=1), tmp_path / "run/encoder.keras")
    with pytest.raises(ValueError, match="the encoder takes 1 channels"):
        load_package(tmp_path / "run")
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        load_package(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match=r"holds no encoder: it lacks encoder\.keras"):
        load_package(tmp_path / "empty")


def test_the_hub_is_asked_for_the_files_of_a_package_only(run, made, tmp_path, monkeypatch):
    calls = {}

    def snapshot_download(repository, *, revision, allow_patterns, local_dir):
        calls["download"] = (repository, revision, sorted(allow_patterns))
        shutil.copytree(made, local_dir, dirs_exist_ok=True)

    def upload_folder(*, repo_id, folder_path, **options):
        calls["upload"] = (repo_id, sorted(options["allow_patterns"]))
        shutil.copytree(folder_path, tmp_path / "uploaded")

    stand_in = SimpleNamespace(
        snapshot_download=snapshot_download,
        upload_folder=upload_folder,
        create_repo=lambda repository, exist_ok: calls.update(create=repository),
    )
    monkeypatch.setitem(sys.modules, "huggingface_hub", stand_in)
    metric = load_metric("hf://someone/ruler@v1.0")
    a, b = made_fields(GRID, 2)
    assert metric(a, b) == load_metric(made)(a, b)
    assert calls["download"] == ("someone/ruler", "v1.0", sorted(package.FILES))
    assert save_package(run, "hf://someone/ruler") == "hf://someone/ruler"
    assert calls["create"] == "someone/ruler"
    assert calls["upload"] == ("someone/ruler", sorted(package.FILES))
    found = load_package(tmp_path / "uploaded")
    assert_array_equal(found.normalization.mean, made_normalization().mean)


@pytest.mark.parametrize(
    "address", ["hf://", "hf://name", "hf://a/b/c", "hf://../secret", "hf://a/..b", "hf://a/b@../c"]
)
def test_wrong_addresses_are_refused(address):
    with pytest.raises(ValueError, match="is no address; write hf://user/name"):
        load_package(address)


def test_a_missing_hub_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ImportError, match=r"pip install 'atmodist\[hub\]'"):
        load_package("hf://someone/ruler")
