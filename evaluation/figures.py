"""Figures of a report: drawn in worker processes, a section in each, and made ready for the page.

A figure is rendered once; its PNG in the folder has a palette. In the page, pictures of fields,
which have no lines to keep sharp, are WebP where that is smaller. The PDF takes the layout that was
found for the PNG. The same results give the same bytes, whatever the number of workers.
"""

import io
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from atmodist.figures import RESOLUTION, save_figure
from atmodist.outputs import atomic_path
from atmodist.workers import worker_pool
from evaluation import plotting
from evaluation.html import data_uri, slug
from evaluation.pictures import draw_time, format_time
from evaluation.statistic import Picture

if TYPE_CHECKING:
    from evaluation.results import Results

PALETTE = 256  # colours of PNG
LARGE = 120_000  # bytes of PNG above which the page may have WebP
QUALITY = 80  # of WebP

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """A figure as the page shows it.

    Attributes:
        title: A short line.
        caption: What is to be seen.
        uri: The picture itself.
        size: Width and height in inches.
    """

    title: str
    caption: str
    uri: str
    size: tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class Section:
    """What could be drawn of a statistic, or of the fields at one time.

    Attributes:
        figures: In order.
        error: Why some are missing, or "".
    """

    figures: Sequence[Drawn]
    error: str = ""


@dataclass(frozen=True)
class Job:
    """Work for one process: a statistic, or the fields at one of the times shown."""

    statistic: str | None
    time: int = 0


def jobs_of(results: "Results") -> dict[Job, str]:
    """All there is to draw, with names of folders; the longest work comes first."""
    num_times = results.fields.sizes["time"]
    found = {Job(None, i): f"fields-{i + 1}" for i in range(num_times)}
    return found | {Job(name): slug(name) for name in results.outcomes}


def draw_all(results: "Results", folder: Path, workers: int = 1) -> Mapping[Job, Section]:
    """Draws all sections into subfolders of `folder`.

    Args:
        results: Of a finished run.
        folder: Exists.
        workers: Processes; 1 draws in this one.
    """
    jobs = jobs_of(results)
    workers = min(workers, len(jobs))
    if workers < 2:
        return {job: draw_section(results, job, folder / name) for job, name in jobs.items()}
    bare = replace(results, rows=[])
    with ExitStack() as stack:
        submit = stack.enter_context(worker_pool(workers, _start_worker))
        futures = {
            job: submit(draw_section, bare, job, folder / name) for job, name in jobs.items()
        }
        return {job: future.result() for job, future in futures.items()}


def draw_section(results: "Results", job: Job, folder: Path) -> Section:
    """Draws one section; a figure that cannot be drawn costs itself and those after it."""
    done: list[Drawn] = []
    taken: set[str] = set()
    try:
        with plotting.style():
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
    content, kind = _encoded(whole.quantize(PALETTE, dither=Image.Dither.NONE), "PNG"), "image/png"
    with atomic_path(path.with_name(path.name + ".png")) as temporary:
        temporary.write_bytes(content)
    if len(content) > LARGE:
        smaller = _encoded(whole, "WEBP", quality=QUALITY)
        if len(smaller) < len(content):
            content, kind = smaller, "image/webp"
    figure.set_layout_engine("none")  # the layout that was found serves the other file
    save_figure(figure, path, ("pdf",))
    figure.clear()
    uri = data_uri(content, kind)
    return Drawn(title=picture.title, caption=picture.caption, uri=uri, size=(width, height))


def times_of(results: "Results") -> list[str]:
    """The times whose fields are shown, as people write them."""
    return [format_time(when) for when in results.fields["time"].values]


def _pictures(results: "Results", job: Job) -> Iterator[Picture] | Iterable[Picture]:
    if job.statistic is None:
        return draw_time(results.fields, results.setting, job.time)
    outcome = results.outcomes[job.statistic]
    return outcome.statistic.draw(outcome.dataset)


def _encoded(image: Any, suffix: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, suffix, **options)
    return buffer.getvalue()


def _start_worker() -> None:
    """Nothing to prepare; modules load with the first job."""
