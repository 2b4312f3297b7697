"""The report: one HTML file that needs nothing else, made from a folder of results.

It begins with what was compared and the main numbers, then shows the fields, then each statistic
with its table and figures, then what was left out and how to make all of it again. Figures also go
to `figures/`, as PNG and PDF. The same results give the same bytes.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from atmodist.fields.intervals import LEAST_VALUES
from atmodist.files.outputs import atomic_path
from evaluation.contract.regions import region_title
from evaluation.contract.units_text import labelled, words
from evaluation.drawing import plotting
from evaluation.drawing.pictures import format_time
from evaluation.numerics.setting import GLOBE, REFERENCE, Region
from evaluation.report.figures import draw_all, times_of
from evaluation.report.html import Child, Markup, element, facts, page, slug, table
from evaluation.report.sections import Drawn, Job, Section
from evaluation.report.tables import Row, gaps_of, number_table, rows, summary_rows, summary_table

if TYPE_CHECKING:
    from evaluation.running.results import Results

REPORT, FIGURES = "report.html", "figures"
SHOWN_FIRST = 4  # pictures of a section; the others are folded away
GAPS = (0, 8, 4, 2)  # pixels between the gaps of swatches: none, then more and more
SHOWN_ROWS = 24  # of a table; longer ones are folded away
KEY = (
    "Means over time. Bold: the best candidate, where the 95 % interval of its difference from "
    "each of the others excludes zero, given how long the series remembers; numbers without a "
    "series in time, or of fewer times than show it, have no interval. ↓ lower is better, ↑ higher "
    "is better, → ref. closer to the "
    "reference's own number at each time is better, which may differ from whose mean is closer."
)


def write_report(
    results: "Results | str | Path", path: str | Path | None = None, *, workers: int = 1
) -> Path:
    """Writes the report and its figures.

    Args:
        results: Or the folder that holds them.
        path: Of the report; by default `report.html` in the folder of the results. Figures go to
            `figures` beside it.
        workers: Processes that draw.

    Returns:
        The path of the report.
    """
    if isinstance(results, str | Path):
        from evaluation.running.results import load_results

        results = load_results(results)
    path = Path(results.folder) / REPORT if path is None else Path(path)
    with atomic_path(path.parent / FIGURES) as folder:
        folder.mkdir(parents=True)
        sections = draw_all(results, folder, workers, before=path.parent / FIGURES)
        body = _Report(results, sections).body()
    with atomic_path(path) as temporary:
        temporary.write_text(page(_title(results), body), encoding="utf-8")
    return path


class _Report:
    """The parts of a report, whose figures are drawn."""

    def __init__(self, results: "Results", sections: Mapping[Job, Section]):
        self.results = results
        self.sections = sections
        self.candidates = [REFERENCE, *results.candidates]
        self.swatch = _swatches(self.candidates)
        self.numbers = {name: self._rows(name) for name in results.outcomes}

    def body(self) -> Markup:
        """All that is between <body> and </body>."""
        sections: dict[str, Markup | None] = {
            "In short": self._summary(),
            "Fields": self._fields(),
        }
        for name, outcome in self.results.outcomes.items():
            sections[outcome.title] = self._statistic(name)
        sections["Left out"] = self._left_out()
        sections["How to reproduce"] = self._reproduction()
        shown = {title: content for title, content in sections.items() if content}
        anchors = {title: f"s{i}-{slug(title)}" for i, title in enumerate(shown)}
        links = [
            element("li", element("a", title, href=f"#{anchor}"))
            for title, anchor in anchors.items()
        ]
        return element(
            "main",
            self._head(),
            element("nav", element("ul", links), aria_label="sections"),
            [
                element("section", element("h2", title, id=anchors[title]), content)
                for title, content in shown.items()
            ],
        )

    def _head(self) -> Markup:
        results = self.results
        setting, time = results.setting, results.time
        num = len(time.seconds)
        span = f"{_moment(time, 0)} to {_moment(time, num - 1)}" if num else "none"
        rows_, columns = setting.grid.shape
        names = [
            element(
                "div", self.swatch[name], element("b", name), f": {about.about}", _members(about)
            )
            for name, about in results.candidates.items()
        ]
        channels = ", ".join(labelled(words(c.name), c.units) for c in setting.channels)
        boxes = [
            element("div", region_title(name), f": {_bounds(box)}" if box else None)
            for name, box in setting.regions.items()
        ]
        lines: list[tuple[str, Child]] = [
            ("Reference", [self.swatch[REFERENCE], results.reference]),
            ("Candidates", names),
            ("Times", f"{num:,}: {span}"),
            ("Grid", f"{rows_} × {columns} points (latitude × longitude), {setting.grid.kind}"),
            ("Channels", channels),
            ("Regions", boxes),
        ]
        return element(
            "header", element("h1", _title(results)), facts(lines), _notes(results.notes)
        )

    def _summary(self) -> Markup | None:
        found = {name: summary_rows(rows_) for name, rows_ in self.numbers.items()}
        chosen = [row for rows_ in found.values() for row in rows_]
        if not chosen:
            return None
        return Markup(
            summary_table(chosen, self.candidates, swatch=self.swatch)
            + element("p", KEY, " Over the whole grid.", self._few(), class_="key")
        )

    def _few(self) -> str:
        num = len(self.results.time.seconds)
        if num >= LEAST_VALUES:
            return ""
        return (
            f" There are no intervals and no bold numbers: {num} times cannot show how long they "
            f"remember; at least {LEAST_VALUES} can."
        )

    def _fields(self) -> Markup | None:
        parts = []
        for i, when in enumerate(times_of(self.results)):
            section = self.sections[Job(None, i)]
            if i:
                figures = [_figure(drawn) for drawn in section.figures]
                parts.append(
                    element("details", element("summary", f"at {when}"), figures, _missing(section))
                )
            else:
                parts.append(_figures(section, f"more figures of {when}"))
        return Markup("".join(parts)) or None

    def _statistic(self, name: str) -> Markup:
        outcome = self.results.outcomes[name]
        notes = outcome.dataset.attrs.get("notes", ())
        options = ", ".join(f"{key} = {value}" for key, value in outcome.options.items())
        return Markup(
            _notes([notes] if isinstance(notes, str) else list(notes))
            + (element("p", f"Options: {options}.", class_="key") if options else "")
            + self._numbers_of(self.numbers[name])
            + _figures(self.sections[Job(name)], "more figures")
        )

    def _numbers_of(self, found: Sequence[Row]) -> Markup:
        if not found:
            return Markup("")
        made = number_table(found, self.candidates, swatch=self.swatch, gaps=True)
        if any(row.gaps for row in found):
            about = (
                f"Δ: difference from {self.results.baseline} and its 95 % interval; where closer "
                "to the reference is better, the difference of the distances from it."
            )
            made = Markup(made + element("p", about, class_="key"))
        if len(found) <= SHOWN_ROWS:
            return made
        globe = [row for row in found if row.region in (GLOBE, "")]
        first = number_table(globe, self.candidates, swatch=self.swatch, gaps=True)
        fold = element("details", element("summary", f"all {len(found)} numbers, by region"), made)
        return Markup(first + fold)

    def _left_out(self) -> Markup | None:
        left_out = self.results.left_out
        if not left_out:
            return None
        return facts([(name, reason) for name, reason in left_out.items()])

    def _reproduction(self) -> Markup:
        manifest = self.results.manifest
        inputs = [("reference", self.results.reference, self.results.identity.get("reference"))]
        inputs += [(name, c.about, c.identity) for name, c in self.results.candidates.items()]
        body = [
            element(
                "tr",
                element("th", name, scope="row"),
                element("td", what),
                element("td", element("code", _fingerprints(identity))),
            )
            for name, what, identity in inputs
        ]
        config = manifest.get("config", self.results.config)
        versions = ", ".join(f"{k} {v}" for k, v in dict(manifest.get("versions", {})).items())
        command = str(manifest.get("command", "phire-eval"))
        return Markup(
            element(
                "p",
                "Save the configuration as ",
                element("code", "run.yaml"),
                " and run ",
                element("code", f"{command} --config run.yaml"),
                f". All that is drawn follows from the seed {self.results.setting.seed}.",
            )
            + element("pre", element("code", _as_yaml(config)))
            + table(["input", "what", "fingerprint"], body)
            + (element("p", f"Versions: {versions}.", class_="key") if versions else "")
        )

    def _rows(self, name: str) -> list[Row]:
        recorded = [row for row in self.results.rows if row["statistic"] == name]
        return rows(self.results.outcomes[name].dataset, gaps=gaps_of(recorded))


def _title(results: "Results") -> str:
    names = list(results.candidates)
    if len(names) > 3:
        return f"{len(names)} candidates against {Path(results.reference).name}"
    return f"{', '.join(names)} against {Path(results.reference).name}"


def _figures(section: Section, text: str) -> Markup:
    """Shows the first pictures, and hides the others behind a line."""
    figures = [_figure(drawn) for drawn in section.figures]
    first, rest = figures[:SHOWN_FIRST], figures[SHOWN_FIRST:]
    fold = element("details", element("summary", f"{text} ({len(rest)})"), rest) if rest else ""
    return Markup("".join(first) + fold + _missing(section))


def _figure(drawn: Drawn) -> Markup:
    image = element(
        "img",
        src=drawn.uri,
        alt=f"{drawn.title}. {drawn.caption}",
        width=round(100 * drawn.size[0]),
        height=round(100 * drawn.size[1]),
    )
    caption = element("figcaption", element("b", drawn.title), ". ", drawn.caption)
    return element("figure", image, caption)


def _missing(section: Section) -> Markup:
    text = f"Figures are missing: {section.error}"
    return element("p", text, class_="note") if section.error else Markup("")


def _notes(notes: Iterable[str]) -> Markup:
    items = [element("li", note) for note in notes]
    return element("div", element("ul", items), class_="note") if items else Markup("")


def _swatches(candidates: Sequence[str]) -> dict[str, Markup]:
    """Patches of colour; where colours begin anew they have gaps, as lines then have."""
    turns = plotting.turns(candidates)
    found = {}
    for name, color in plotting.colors(candidates).items():
        gaps = turns[name] % len(GAPS)
        fill = f"{color} 0 {GAPS[gaps]}px,transparent 0 {GAPS[gaps] + 3}px"
        style = f"background:repeating-linear-gradient(90deg,{fill})" if gaps else None
        found[name] = element("span", class_="swatch", style=style or f"background:{color}")
    return found


def _members(about: Any) -> str:
    num = about.num_members
    return f", judged by the mean of its {num} members" if num > 1 else ""


def _bounds(box: Region) -> str:
    def degrees(value: float, plus: str, minus: str) -> str:
        return f"{abs(value):g}° {plus if value > 0 else minus}" if value else "0°"

    south, north = (degrees(v, "N", "S") for v in (box.south, box.north))
    west, east = (degrees((v + 180) % 360 - 180, "E", "W") for v in (box.west, box.east))
    if (box.east - box.west) % 360 == 0:
        return f"{south} to {north}"
    return f"{south} to {north}, {west} to {east}"


def _moment(time: Any, index: int) -> str:
    try:
        return str(time.isoformat(index)).replace("T", " ")[:16]
    except (AttributeError, ValueError):
        return format_time(int(time.seconds[index]))


def _fingerprints(identity: Any) -> str:
    return identity if isinstance(identity, str) else json.dumps(identity, sort_keys=True)


def _as_yaml(config: Mapping[str, Any]) -> str:
    """JSON is YAML; a line for each entry keeps it legible."""
    lines = [
        f"{key}: {json.dumps(value, ensure_ascii=False, default=str)}"
        for key, value in config.items()
        if value is not None
    ]
    return "\n".join(lines)
