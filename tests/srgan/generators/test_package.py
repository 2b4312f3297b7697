import dataclasses
import json
import shutil
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import yaml
from numpy.testing import assert_array_equal

import srgan
from atmodist.fields.grid import make_grid
from atmodist.files.outputs import read_json, write_manifest
from atmodist.training.saving import save_network
from srgan.generators import package
from srgan.generators.facts import GeneratorFacts
from srgan.generators.package import load_generator, save_generator, write_generator
from srgan.samples.static import StaticChannels
from srgan.training.configuration import GeneratorTrainingConfig
from tests.metric.encoders import CHANNELS, made_fields, made_normalization
from tests.srgan.generators.examples import made_facts, made_network

GRID = make_grid("cell-centred", 12, 24)
STATIC = StaticChannels(
    names=("orography",),
    values=np.random.default_rng(0).normal(size=(24, 48, 1)).astype(np.float32),
    mean=np.array([230.0]),
    std=np.array([830.0]),
)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A folder as `phire-train` makes it."""
    folder = tmp_path_factory.mktemp("run")
    network = made_network(num_static=1)
    about = {"spacing_degrees": (7.5, 7.5), "grid": "24 x 48 cell-centred"}
    facts = made_facts(network, static=("orography",), **about)
    write_generator(folder, network, made_normalization(), facts, static=STATIC)
    config = GeneratorTrainingConfig(
        records="/disk/somebody/patches",
        content="atmodist=1,mse=0.1",
        encoder="/disk/somebody/encoder",
    )
    write_manifest(
        folder / "manifest.json",
        command="phire-train",
        config=config,
        seed=7,
        num_train=1234,
        normalization=made_normalization().identity,
    )
    return folder


@pytest.fixture
def made(run, tmp_path):
    save_generator(run, tmp_path / "made")
    return tmp_path / "made"


def test_a_package_comes_back(run, made):
    low = made_fields(GRID)[0]
    found, original = load_generator(made), load_generator(run)
    assert_array_equal(found(low, grid=GRID), original(low, grid=GRID))
    assert found.facts == original.facts
    assert found.identity == original.identity
    assert found.factor == 2
    assert found.channels == CHANNELS
    assert sorted(path.name for path in made.iterdir()) == sorted(package.FORMAT.files)
    save_generator(made, made.parent / "again" / "made")
    assert (made.parent / "again/made/manifest.json").read_text() == (
        made / "manifest.json"
    ).read_text()


def test_the_card_says_what_is_known(made):
    _, front, body = (made / "README.md").read_text().split("---\n", 2)
    facts = yaml.safe_load(front)
    assert facts["license"] == "apache-2.0"
    assert "super-resolution" in facts["tags"]
    for text in (
        "# made",
        "2 times finer",
        "divergence (s-1), vorticity (s-1)",
        "24 x 48 cell-centred, 7.5 x 7.5 degrees",
        "area-weighted block means in physical units",
        "Static fields: orography",
        "Stochastic: no",
        "Content loss: atmodist=1,mse=0.1",
        "Training patches: 1234",
        f"Parameters: {made_network(num_static=1).count_params():,}",
    ):
        assert text in body


def test_nobodys_folders_are_published(made):
    assert "somebody" not in (made / "manifest.json").read_text()
    assert read_json(made / "manifest.json")["training"]["config"]["records"] == "patches"


def test_only_packages_are_replaced(run, made, tmp_path):
    save_generator(run, made, license="mit")
    assert read_json(made / "manifest.json")["license"] == "mit"
    (tmp_path / "thesis").mkdir()
    with pytest.raises(ValueError, match="thesis exists and is no generator package"):
        save_generator(run, tmp_path / "thesis")
    with pytest.raises(ValueError, match="is an interpolation"):
        save_generator("nearest", tmp_path / "new")


def edit(name, **changes):
    def damage(folder):
        path = folder / name
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))

    return damage


NO_STATIC = "does not hold its static fields"


def pickled_static(folder):
    np.savez(folder / "static.npz", values=np.array([{"an": "object"}], dtype=object))


def other_static(folder):
    dataclasses.replace(STATIC, names=("depth",)).save(folder)


@pytest.mark.parametrize(
    ("damage", "error", "text"),
    [
        (lambda f: (f / "generator.json").unlink(), FileNotFoundError, r"it lacks generator\.json"),
        (lambda f: (f / "generator.json").write_text("[]"), ValueError, "describes no generator"),
        (edit("generator.json", version=2), ValueError, "version 2 is unknown"),
        (edit("generator.json", factors=[2, 1]), ValueError, r"`factors` .* cannot be \(2, 1\)"),
        (edit("generator.json", factors=[61, 61]), ValueError, "`factors` .* cannot be"),
        (edit("generator.json", factors="22"), ValueError, "`factors` .* cannot be '22'"),
        (edit("generator.json", receptive_radius=10**9), ValueError, "`receptive_radius`"),
        (edit("generator.json", receptive_radius=True), ValueError, "`receptive_radius`"),
        (edit("generator.json", spacing_degrees=[0, 1]), ValueError, "`spacing_degrees`"),
        (edit("generator.json", alignment="skew"), ValueError, "`alignment`"),
        (
            edit("generator.json", alignment="shared", projection=True),
            ValueError,
            "keeps block means, and needs `alignment` 'centred'",
        ),
        (edit("generator.json", evil=1), ValueError, "unknown entry 'evil'"),
        (edit("generator.json", noise_channels=2), ValueError, "the network takes"),
        (edit("generator.json", channels=["a", "b"]), ValueError, "has the channels"),
        (edit("manifest.json", normalization="0"), ValueError, "trained with normalization 0"),
        (pickled_static, ValueError, NO_STATIC),
        (other_static, ValueError, r"holds \('depth',\), the generator takes \('orography',\)"),
        (
            lambda f: (f / "static.npz").write_text("text"),
            ValueError,
            NO_STATIC,
        ),
        (lambda f: (f / "static.npz").unlink(), ValueError, "needs the static fields orography"),
        (
            lambda f: save_network(made_network(noise_channels=1), f / "generator.keras"),
            ValueError,
            "takes",
        ),
    ],
)
def test_damaged_folders_are_refused(run, tmp_path, damage, error, text):
    folder = tmp_path / "run"
    shutil.copytree(run, folder)
    damage(folder)
    with pytest.raises(error, match=text):
        load_generator(folder)


@pytest.mark.parametrize("name", ["generator.keras", "generator.json", "static.npz"])
def test_edited_packages_are_refused(made, name):
    with (made / name).open("ab") as file:
        file.write(b" ")
    with pytest.raises(ValueError, match=r"is not the file that manifest\.json describes"):
        load_generator(made)


def test_interpolations_stand_for_generators(run):
    assert load_generator("bicubic", factor=3).factor == 3
    with pytest.raises(ValueError, match="nearest needs a factor"):
        load_generator("nearest")
    with pytest.raises(ValueError, match="refines by 2, not by 4"):
        load_generator(run, factor=4)
    with pytest.raises(FileNotFoundError, match="`phire-train` makes one with a generator"):
        load_generator("/nowhere")


def test_facts_come_back(tmp_path):
    facts = made_facts(made_network(), noise_channels=0, spacing_degrees=(0.25, 0.5))
    facts.save(tmp_path / "generator.json")
    assert GeneratorFacts.load(tmp_path / "generator.json") == facts


def test_the_hub_is_asked_for_the_files_of_a_package_only(run, made, tmp_path, monkeypatch):
    calls = {}

    def snapshot_download(repository, *, revision, allow_patterns, local_dir):
        calls["download"] = (repository, revision, sorted(allow_patterns))
        shutil.copytree(made, local_dir, dirs_exist_ok=True)

    def upload_folder(*, repo_id, folder_path, **options):
        shutil.copytree(folder_path, tmp_path / "uploaded")

    stand_in = SimpleNamespace(
        snapshot_download=snapshot_download,
        upload_folder=upload_folder,
        create_repo=lambda repository, exist_ok: None,
    )
    monkeypatch.setitem(sys.modules, "huggingface_hub", stand_in)
    low = made_fields(GRID)[0]
    found = srgan.load_generator("hf://someone/sharp@v1")
    assert_array_equal(found(low, grid=GRID), load_generator(made)(low, grid=GRID))
    assert calls["download"] == ("someone/sharp", "v1", sorted(package.FORMAT.files))
    assert srgan.save_generator(run, "hf://someone/sharp") == "hf://someone/sharp"
    assert load_generator(tmp_path / "uploaded").identity == found.identity
