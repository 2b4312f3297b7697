from atmodist.cli import generate
from atmodist.cli.quickstart import main
from tests.cli.mistakes import mistake


def test_another_seed_in_the_same_folder_is_told_what_to_do(tmp_path, capsys):
    small = ["--num_steps", "2", "--num_rows", "12", "--truncation", "8"]
    assert generate.main([str(tmp_path / "archive.h5"), *small, "--seed", "3"]) == 0
    capsys.readouterr()
    error = mistake(main, ["--output", str(tmp_path), "--seed", "4"], capsys)
    assert error == (
        f"atmodist quickstart: error: {tmp_path} holds a quickstart with seed 3, and nothing of it "
        "is replaced; give that --seed to go on with it, or another --output for seed 4\n"
    )
