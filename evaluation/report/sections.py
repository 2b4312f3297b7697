"""What is drawn of a report, section by section, and kept, so that a rerun draws what is new only.

Beside the figures of a section lies `drawn.json`: what they show, and a digest of all that decides
them, which is the results, who else is on the page, the regions, and the code. A section is taken
over from an earlier report if that digest is the same and its files are there.
"""

import hashlib
import importlib.metadata
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from atmodist.files import figures as house_figures
from atmodist.files.outputs import digest, plain_config, read_json, write_json
from evaluation.report.html import data_uri

if TYPE_CHECKING:
    import xarray as xr

    from evaluation.running.results import Results

RECORD = "drawn.json"
MEDIA_TYPES = {".png": "image/png", ".webp": "image/webp"}


@dataclass(frozen=True)
class Job:
    """Work for one process: a statistic, or the fields at one of the times shown."""

    statistic: str | None
    time: int = 0


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """A figure as the page shows it.

    Attributes:
        title: A short line.
        caption: What is to be seen.
        file: The picture, in the folder of its section.
        uri: The same, as an address that holds it.
        size: Width and height in inches.
    """

    title: str
    caption: str
    file: str
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


def identity_of(results: "Results", job: Job) -> str:
    """A digest of all that decides how a section looks."""
    if job.statistic is None:
        dataset = results.fields.isel(time=job.time)
    else:
        dataset = results.outcomes[job.statistic].dataset
    about = {
        "code": code_identity(),
        "statistic": job.statistic,
        "candidates": list(results.candidates),  # who else there is decides the colours
        "regions": plain_config(dict(results.setting.regions)),
        "channels": [[c.name, c.units] for c in results.setting.channels],
        "content": content_digest(dataset),
    }
    return digest(about)


def content_digest(dataset: "xr.Dataset") -> str:
    """Of all values, names and attributes; files that hold the same may differ in their bytes."""
    content = hashlib.sha256(_described(dataset.attrs))
    for name in sorted(map(str, dataset.variables)):
        variable = dataset.variables[name]
        values = np.ascontiguousarray(variable.values)
        content.update(repr((name, variable.dims, values.shape, values.dtype.str)).encode())
        content.update(_described(variable.attrs))
        plain = values.dtype.kind != "O"  # texts and foreign dates are objects
        content.update(values.tobytes() if plain else repr(values.tolist()).encode())
    return content.hexdigest()


@lru_cache(maxsize=1)
def code_identity() -> str:
    """A digest of all that draws: this package, the style of the house, matplotlib."""
    here = Path(__file__).parents[1]
    content = hashlib.sha256(importlib.metadata.version("matplotlib").encode())
    sources = [p for p in sorted(here.rglob("*")) if p.suffix in (".py", ".json", ".csv")]
    for path in (*sources, Path(house_figures.__file__)):
        content.update(path.read_bytes())
    return content.hexdigest()


def save_section(folder: Path, identity: str, section: Section) -> None:
    """Writes what `load_section` reads beside the figures."""
    figures = [{k: v for k, v in asdict(f).items() if k != "uri"} for f in section.figures]
    write_json(folder / RECORD, {"identity": identity, "figures": figures})


def load_section(folder: Path, identity: str) -> Section | None:
    """A section that was drawn before; None if there is none of this identity, or files lack."""
    try:
        record = read_json(folder / RECORD)
        if record["identity"] != identity:
            return None
        return Section(figures=[_loaded(folder, figure) for figure in record["figures"]])
    except (OSError, ValueError, KeyError, TypeError):  # never drawn, removed in part, or edited
        return None


def _loaded(folder: Path, figure: Mapping[str, Any]) -> Drawn:
    path = folder / figure["file"]
    for suffix in (".png", ".pdf"):
        if not path.with_suffix(suffix).is_file():
            raise FileNotFoundError(path.with_suffix(suffix))
    width, height = figure["size"]
    return Drawn(
        title=figure["title"],
        caption=figure["caption"],
        file=figure["file"],
        uri=data_uri(path.read_bytes(), MEDIA_TYPES[path.suffix]),
        size=(width, height),
    )


def _described(attributes: Mapping[Any, Any]) -> bytes:
    return repr(sorted((str(key), str(value)) for key, value in attributes.items())).encode()
