"""`atmodist ingest` as users meet it: help, closing line, and one line for each mistake."""

import re
import resource
import subprocess
import sys

import pytest

from atmodist.cli.ingest import main
from atmodist.fields.archive import Archive
from tests.ingestion.made_files import GRID, HTML, write_grib


def lines(capsys):
    captured = capsys.readouterr()
    return captured.out.strip().splitlines(), captured.err.strip().splitlines()


def test_winds_become_an_archive_and_the_last_line_says_what_next(tmp_path, capsys):
    write_grib(tmp_path / "a", [0, 1, 3])
    output = tmp_path / "winds.h5"
    assert main([str(tmp_path / "a"), "--output", str(output)]) == 0
    out, _ = lines(capsys)
    assert len(out) == 1
    assert re.fullmatch(rf"Wrote {output}: 3 steps.*1 hole.*Next: rplearn-data {output}", out[0])
    with Archive(output) as archive:
        assert archive.grid.matches(GRID)


@pytest.mark.parametrize("flag", ["--skip-broken", "--skip_broken", "--skip_broken=true"])
def test_broken_files_are_left_out_on_request(tmp_path, capsys, flag):
    write_grib(tmp_path / "a", [0, 1])
    (tmp_path / "b").write_bytes(HTML)
    arguments = [str(tmp_path / "a"), str(tmp_path / "b"), "--output", str(tmp_path / "out.h5")]
    assert main(arguments) == 2
    out, err = lines(capsys)
    assert not out
    assert len(err) == 1
    assert err[0].startswith("atmodist ingest: error: 1 of 2 files are broken")
    assert "is an HTML page" in err[0]
    assert main([*arguments, flag]) == 0
    assert "left out" in lines(capsys)[0][0]


def test_settings_come_from_a_file_and_flags_override_it(tmp_path, capsys):
    write_grib(tmp_path / "a", [0])
    (tmp_path / "run.yaml").write_text(
        f"output: {tmp_path / 'out.h5'}\nlatitude_range: [0, 60]\ncompression: gzip\n"
    )
    arguments = ["--config", str(tmp_path / "run.yaml"), str(tmp_path / "a")]
    assert main([*arguments, "--longitude_range", "[-20, 20]"]) == 0
    with Archive(tmp_path / "out.h5") as archive:
        assert archive.grid.shape == (7, 5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["absent.grib", "--output", "out.h5"], "there is no file absent.grib"),
        (["a", "--output", "out.h5", "--levels", "850"], "--levels"),
        (["a", "--output", "out.h5", "--level", "high"], "level"),
        (["a", "--output", "out.h5", "--workers", "0"], "`workers` must be at least 1; got 0"),
        (["a", "--output", "a/out.h5"], "cannot write a/out.h5: Not a directory"),
        (["a", "--output", "."], "is a folder; the output must be a file name"),
        (["a"], "output"),
    ],
)
def test_mistakes_end_with_one_line_and_status_2(tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    write_grib(tmp_path / "a", [0])
    try:
        status = main(arguments)
    except SystemExit as end:
        status = end.code
    assert status == 2
    _, err = lines(capsys)
    assert len(err) == 1, err
    assert message in err[0]
    assert err[0].startswith("atmodist ingest: error: ")


def test_a_missing_package_says_what_to_install(tmp_path, monkeypatch, capsys):
    write_grib(tmp_path / "a", [0])
    for package, extra in (("eccodes", "grib"), ("ducc0", "fast")):
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, package, None)
            assert main([str(tmp_path / "a"), "--output", str(tmp_path / "out.h5")]) == 2
        assert f"pip install 'atmodist[{extra}]'" in lines(capsys)[1][-1]


def test_output_that_grows_beyond_a_limit_is_reported_and_leaves_nothing(tmp_path):
    write_grib(tmp_path / "a", range(20))
    output = tmp_path / "out.h5"
    command = [sys.executable, "-c", "import sys; from atmodist.cli.ingest import main; "
               "sys.exit(main(sys.argv[1:]))", str(tmp_path / "a"), "--output", str(output),
               "--compression", "none"]  # fmt: skip

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))

    done = subprocess.run(command, capture_output=True, text=True, preexec_fn=limit)
    assert done.returncode == 2, done.stderr
    assert "out.h5" in done.stderr.splitlines()[-1]
    assert "File too large" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert not output.exists()
    assert subprocess.run(command, capture_output=True).returncode == 0  # and it can go on


def test_a_finished_command_does_nothing_again_and_another_one_asks(tmp_path, capsys, monkeypatch):
    write_grib(tmp_path / "a", [0, 1])
    write_grib(tmp_path / "b", [2])
    output, manifest = tmp_path / "out.h5", tmp_path / "out.h5.manifest.json"
    flag = ["--output", str(output)]
    assert main([str(tmp_path / "a"), *flag]) == 0
    monkeypatch.chdir(tmp_path)
    capsys.readouterr()
    before = [path.stat().st_mtime_ns for path in (output, manifest)]
    assert main(["a", "--output", "./out.h5"]) == 0  # the same files, typed in another way
    assert lines(capsys)[0][0].startswith("out.h5 exists already, nothing was done: 2 steps")
    assert main(["b", *flag]) == 2
    assert re.search("exists already.* --overwrite .* --append", lines(capsys)[1][0])
    assert before == [path.stat().st_mtime_ns for path in (output, manifest)]
    assert main(["b", *flag, "--append"]) == 0
    assert main(["b", *flag, "--overwrite"]) == 0
    with Archive(output) as archive:
        assert len(archive.time) == 1
    manifest.unlink()  # as if killed just before it was written
    assert main(["b", *flag]) == 0
    assert manifest.exists()


@pytest.mark.parametrize("kill", ["worker", "interrupt"])
def test_killed_workers_and_ctrl_c_are_one_line(tmp_path, kill):
    for i in range(40):
        write_grib(tmp_path / f"{i:02d}.grib", [i])
    script = (
        "import multiprocessing, os, signal, sys, time\n"
        "from atmodist.cli.ingest import main\n"
        "from atmodist.fields.archive_writer import ArchiveWriter\n"
        "from atmodist.ingestion import workers\n"
        "append, make_step = ArchiveWriter.append, workers.make_step\n"
        "def slowly(*arguments):\n"  # some workers are still at it after the first step
        "    time.sleep(0.05)\n"
        "    return make_step(*arguments)\n"
        "workers.make_step = slowly\n"
        "def trouble(self, *step):\n"
        "    append(self, *step)\n"
        "    if sys.argv[1] == 'worker':\n"
        "        for worker in multiprocessing.active_children(): worker.kill()\n"
        "    else:\n"
        "        os.killpg(0, signal.SIGINT)\n"
        "ArchiveWriter.append = trouble\n"
        "if __name__ == '__main__': sys.exit(main(sys.argv[2:]))\n"
    )
    (tmp_path / "script.py").write_text(script)
    arguments = [str(tmp_path / "*.grib"), "--output", str(tmp_path / "out.h5"), "--workers", "2"]
    done = subprocess.run(
        [sys.executable, str(tmp_path / "script.py"), kill, *arguments],
        capture_output=True, text=True, start_new_session=True, timeout=100,
    )  # fmt: skip
    (line,) = done.stderr.strip().splitlines()
    if kill == "worker":
        assert done.returncode == 2
        assert line.startswith("atmodist ingest: error: a worker process was killed, perhaps for")
    else:
        assert done.returncode == 130
        assert line == "atmodist ingest: interrupted; run the same command again to go on."


def test_help_loads_no_heavy_library():
    code = (
        "import sys\nfrom atmodist.cli.ingest import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\n"
        "heavy = {'tensorflow', 'keras', 'xarray', 'eccodes', 'ducc0', 'matplotlib', 'pyshtools'}\n"
        "sys.exit(str(heavy & set(sys.modules)) if heavy & set(sys.modules) else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "--skip_broken" in done.stdout
