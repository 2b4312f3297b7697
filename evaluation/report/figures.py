"""Figures of a report: drawn in worker processes, a section in each, and made ready for the page.

A figure is rendered once; its PNG in the folder has a palette. In the page, pictures of fields,
which have no lines to keep sharp, are WebP where that is smaller. The PDF takes the layout that was
found for the PNG. The same results give the same bytes, whatever the number of workers, and however
many sections were drawn before (`evaluation.report.sections`).
"""

import io
import logging
import shutil
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import as_completed
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm import tqdm

from atmodist.files.figures import RESOLUTION, save_figure
from atmodist.files.outputs import atomic_path
from atmodist.files.workers import worker_pool
from evaluation.contract.statistic import Picture
from evaluation.drawing import plotting
from evaluation.drawing.pictures import draw_time, format_time
from evaluation.report.html import data_uri, slug
from evaluation.report.sections import (
    MEDIA_TYPES,
    Drawn,
    Job,
    Section,
    identity_of,
    load_section,
    save_section,
)

if TYPE_CHECKING:
    from evaluation.running.results import Results

PALETTE = 256  # colours of PNG
LARGE = 120_000  # bytes of PNG above which the page may have WebP
QUALITY = 80  # of WebP

log = logging.getLogger(__name__)


def jobs_of(results: "Results") -> dict[Job, str]:
    """All there is to draw, with names of folders; the longest work comes first."""
    num_times = results.fields.sizes["time"]
    found = {Job(None, i): f"fields-{i + 1}" for i in range(num_times)}
    return found | {Job(name): slug(name) for name in results.outcomes}


def draw_all(
    results: "Results", folder: Path, workers: int = 1, before: Path | None = None
) -> Mapping[Job, Section]:
    """Draws all sections into subfolders of `folder`, but for those that were drawn before.

    Args:
        results: Of a finished run.
        folder: Exists.
        workers: Processes; 1 draws in this one.
        before: The folder of an earlier report, whose figures are taken over where they are right.
    """
    jobs = jobs_of(results)
    identities = {job: identity_of(results, job) for job in jobs}
    done: dict[Job, Section] = {}
    for job, name in jobs.items():
        section = load_section(before / name, identities[job]) if before else None
        if before and section:
            shutil.copytree(before / name, folder / name)
            done[job] = section
    left = {job: folder / name for job, name in jobs.items() if job not in done}
    with tqdm(
        total=len(jobs), initial=len(done), desc="report", unit="section", disable=None
    ) as progress:
        for job, section in _drawn(results, left, min(workers, len(left))):
            done[job] = section
            if not section.error:
                save_section(left[job], identities[job], section)
            progress.update()
    return {job: done[job] for job in jobs}


def _drawn(
    results: "Results", jobs: Mapping[Job, Path], workers: int
) -> Iterator[tuple[Job, Section]]:
    """Sections as they get done."""
    if workers < 2:
        yield from ((job, draw_section(results, job, folder)) for job, folder in jobs.items())
        return
    bare = replace(results, rows=[])
    with worker_pool(workers, _start_worker) as submit:
        futures = {submit(draw_section, bare, job, folder): job for job, folder in jobs.items()}
        for future in as_completed(futures):
            yield futures[future], future.result()


def draw_section(results: "Results", job: Job, folder: Path) -> Section:
    """Draws one section; a figure that cannot be drawn costs itself and those after it."""
    done: list[Drawn] = []
    taken: set[str] = set()
    try:
        with plotting.style(), plotting.same_colors(results.candidates):
            for picture in _pictures(results, job):
                name = slug(picture.name)
                while name in taken:
                    name += "-2"
                taken.add(name)
                folder.mkdir(exist_ok=True)
                done.append(save_picture(picture, folder / name))
    except Exception as error:
        log.exception("%s could not be drawn", job.statistic or "fields")
        return Section(figures=done, error=f"{type(error).__name__}: {error}")
    return Section(figures=done)


def save_picture(picture: Picture, path: Path) -> Drawn:
    """Writes PNG and PDF, `path` with a suffix; returns what the page needs."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image

    figure = picture.figure
    figure.set_dpi(RESOLUTION)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    width, height = map(float, figure.get_size_inches())
    whole = Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3])
    shown = path.with_name(path.name + ".png")
    content = _encoded(whole.quantize(PALETTE, dither=Image.Dither.NONE), "PNG")
    _write(shown, content)
    if len(content) > LARGE:
        smaller = _encoded(whole, "WEBP", quality=QUALITY)
        if len(smaller) < len(content):
            shown, content = path.with_name(path.name + ".webp"), smaller
            _write(shown, content)
    figure.set_layout_engine("none")  # the layout that was found serves the other file
    save_figure(figure, path, ("pdf",))
    figure.clear()
    return Drawn(
        title=picture.title,
        caption=picture.caption,
        file=shown.name,
        uri=data_uri(content, MEDIA_TYPES[shown.suffix]),
        size=(width, height),
    )


def times_of(results: "Results") -> list[str]:
    """The times whose fields are shown, as people write them."""
    return [format_time(when) for when in results.fields["time"].values]


def _pictures(results: "Results", job: Job) -> Iterator[Picture] | Iterable[Picture]:
    if job.statistic is None:
        return draw_time(results.fields, results.setting, job.time)
    outcome = results.outcomes[job.statistic]
    return outcome.statistic.draw(outcome.dataset)


def _write(path: Path, content: bytes) -> None:
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def _encoded(image: Any, suffix: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, suffix, **options)
    return buffer.getvalue()


def _start_worker() -> None:
    """Nothing to prepare; modules load with the first job."""
