"""Figures of an evaluation, each as PNG and PDF. Only drawing: the numbers come from the tables."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from atmodist.assessment.maps import LagMap
from atmodist.assessment.reliability import temperature_text
from atmodist.files.figures import BLUE, GREY, ORANGE, cell_edges, new_canvas, save_figure, style

LEAST_COUNT = 10  # bins with fewer pairs are noise, and not drawn
Row = Mapping[str, Any]


@contextmanager
def figure(folder: Path, name: str, **options: Any) -> Iterator[Any]:
    """Yields a matplotlib figure; saves it as <name>.png and <name>.pdf."""
    with style():
        drawn = new_canvas(**options)
        yield drawn
        save_figure(drawn, folder / name)


def draw_confusion(folder: Path, counts: np.ndarray, step_hours: float | None, title: str) -> None:
    """Share of each guess for each true lag; rows sum to one."""
    size = len(counts)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    edge = min(9.0, 2.6 + 0.32 * size)
    with figure(folder, "confusion", figsize=(edge + 0.8, edge)) as canvas:
        axes = canvas.subplots()
        image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        if size <= 12:
            for i, j in np.ndindex(shares.shape):
                if shares[i, j] >= 0.005:
                    colour = "white" if shares[i, j] > 0.55 else "black"
                    text = f"{shares[i, j]:.2f}"
                    axes.text(j, i, text, ha="center", va="center", color=colour, fontsize=7)
        ticks = np.arange(0, size, max(1, size // 12))
        labels = [_lag(int(k) + 1, step_hours) for k in ticks]
        axes.set_xticks(ticks, labels)
        axes.set_yticks(ticks, labels)
        unit = "h" if step_hours else "steps"
        axes.set(xlabel=f"guessed lag ({unit})", ylabel=f"true lag ({unit})", title=title)
        axes.spines[:].set_visible(False)
        canvas.colorbar(image, ax=axes, shrink=0.8, label="share of the true lag")


def draw_reliability(folder: Path, calibration: Row) -> None:
    """Accuracy over confidence before and after temperature scaling, and how often each occurs."""
    with figure(folder, "reliability", figsize=(4.6, 5.2)) as canvas:
        upper, lower = canvas.subplots(2, 1, height_ratios=[3, 1], sharex=True)
        upper.plot([0, 1], [0, 1], color=GREY, linewidth=0.8, linestyle="--", label="calibrated")
        for name, colour, marker in (("before", ORANGE, "o"), ("after", BLUE, "s")):
            part = calibration[name]
            rows = [row for row in part["diagram"] if row["count"] >= LEAST_COUNT]
            error = part["expected_calibration_error"]["value"]
            text = f"T = 1: ECE {error:.3f}"
            if name == "after":
                text = f"{temperature_text(calibration['temperature'])}: ECE {error:.3f}"
            x, y = ([row[key] for row in rows] for key in ("confidence", "accuracy"))
            upper.plot(x, y, color=colour, marker=marker, markersize=4, label=text)
            centres = [(row["low"] + row["high"]) / 2 for row in part["diagram"]]
            total = sum(row["count"] for row in part["diagram"])
            shares = [row["count"] / total for row in part["diagram"]]
            lower.step(centres, shares, where="mid", color=colour)
        upper.set(ylabel="accuracy", ylim=(0, 1), title="Reliability (later half of the times)")
        upper.legend(loc="upper left")
        lower.set(xlabel="confidence (probability of the guess)", ylabel="share", xlim=(0, 1))
        lower.set_ylim(bottom=0)


def draw_lags(folder: Path, rows: Sequence[Row], chance: float) -> None:
    """Accuracy and within-one over the true lag, with 95 % intervals."""
    hours = rows[0]["lag_hours"] is not None
    key = "lag_hours" if hours else "lag_steps"
    with figure(folder, "accuracy_over_lag", figsize=(5.2, 3.4)) as canvas:
        axes = canvas.subplots()
        _two_scores(axes, rows, lambda row: row[key])
        _chance(axes, chance)
        axes.set(xlabel="true lag (h)" if hours else "true lag (steps)", ylabel="share of pairs")
        axes.set_xticks(sorted({row[key] for row in rows})[:: max(1, len(rows) // 60)])
        _legend_above(axes)


def draw_latitudes(folder: Path, rows: Sequence[Row], chance: float) -> None:
    """Accuracy and within-one over the latitude of the patch centre."""
    with figure(folder, "accuracy_over_latitude", figsize=(5.2, 3.4)) as canvas:
        axes = canvas.subplots()
        _two_scores(axes, rows, lambda row: (row["south"] + row["north"]) / 2)
        _chance(axes, chance)
        axes.set(xlabel="latitude of the patch centre (degrees north)", ylabel="share of pairs")
        axes.set_xticks(sorted({edge for row in rows for edge in (row["south"], row["north"])}))
        _legend_above(axes)


def draw_epochs(folder: Path, log: Sequence[Row], judged: Sequence[Row]) -> None:
    """Losses and accuracies over epochs from the log, and the judged checkpoints."""
    with figure(folder, "epochs", figsize=(7.6, 3.2)) as canvas:
        left, right = canvas.subplots(1, 2)
        for axes, name in ((left, "loss"), (right, "accuracy")):
            for prefix, colour, text in (
                ("", GREY, "training"),
                ("evaluation_", BLUE, "evaluation"),
            ):
                points = [
                    (int(row["epoch"]), float(row[prefix + name]))
                    for row in log
                    if row.get(prefix + name)
                ]
                if points:
                    axes.plot(*zip(*points, strict=True), color=colour, label=text)
            found = [row for row in judged if row["score"] == name]
            if found:
                _bars(axes, found, [row["epoch"] for row in found], ORANGE, "judged, 95 %")
            axes.set(xlabel="epoch", ylabel="loss (nats)" if name == "loss" else name)
            axes.xaxis.get_major_locator().set_params(integer=True)
        left.legend()


def draw_audit(folder: Path, rows: Sequence[Row]) -> None:
    """Accuracy of every control, own guesses and refitted read-out, beside mere guessing."""
    wanted = [row for row in rows if row["score"] in ("accuracy", "refitted")]
    names = list(dict.fromkeys(row["control"] for row in wanted))
    with figure(folder, "audit", figsize=(6.4, 1.2 + 0.32 * len(names))) as canvas:
        axes = canvas.subplots()
        place = {name: len(names) - k for k, name in enumerate(names)}
        for score, colour, shift, text in (
            ("accuracy", BLUE, 0.13, "own guesses"),
            ("refitted", ORANGE, -0.13, "refitted read-out"),
        ):
            found = [row for row in wanted if row["score"] == score]
            if not found:
                continue
            y = [place[row["control"]] + shift for row in found]
            keys = ("value", "low", "high")
            values = np.array([[row[key] for key in keys] for row in found], float)
            spread = np.abs(values[:, 1:] - values[:, :1]).T
            axes.errorbar(
                values[:, 0], y, xerr=spread, fmt="o", color=colour, markersize=4, label=text
            )
        for row in wanted:
            if row["guessing"] is not None:
                ends = place[row["control"]] + np.array([-0.3, 0.3])
                axes.plot([row["guessing"]] * 2, ends, color=GREY, linewidth=1)
        axes.plot([], [], color=GREY, linewidth=1, label="commonest label")
        axes.set_yticks(list(place.values()), names)
        axes.set(xlabel="accuracy (95 % intervals)", xlim=(0, 1.02))
        axes.grid(axis="y", linewidth=0.3)
        _legend_above(axes)


def draw_map(folder: Path, result: LagMap, step_hours: float | None, num_classes: int) -> None:
    """Accuracy and entropy over the globe; grey where no window is centred."""
    lag = f"{_lag(result.lag, step_hours)} {'h' if step_hours else 'steps'}"
    name = f"map_lag{result.lag:02d}"
    with figure(folder, name, figsize=(7.2, 6.4)) as canvas:
        upper, lower = canvas.subplots(2, 1)
        longitude, latitude = cell_edges(result.longitude), cell_edges(result.latitude)
        panels = (
            (upper, result.accuracy, "viridis", (0, 1), f"accuracy, lag {lag}"),
            (
                lower,
                result.entropy,
                "magma",
                (float(result.entropy.min()), float(result.entropy.max())),
                f"entropy (nats; ignorance is {np.log(num_classes):.2f}), lag {lag}",
            ),
        )
        for axes, values, colours, (least, most), title in panels:
            image = axes.pcolormesh(
                longitude, latitude, values, cmap=colours, vmin=least, vmax=most, rasterized=True
            )
            canvas.colorbar(image, ax=axes, shrink=0.85, pad=0.02)
            axes.set(title=title, xlim=(longitude[0], longitude[0] + 360), ylim=(-90, 90))
            axes.set(ylabel="latitude (degrees north)", facecolor="0.88")
            axes.set_yticks(range(-90, 91, 30))
            axes.set_aspect("equal")
            axes.set_xticks([x for x in range(0, 361, 60) if x <= longitude[-1] + 1])
        lower.set_xlabel(
            "longitude (degrees east)\n"
            f"Values are at the centres of the windows; grey: no centre nearer the pole. "
            f"{len(result.steps)} times."
        )


def _two_scores(axes: Any, rows: Sequence[Row], where: Any) -> None:
    for score, colour, text in (
        ("within_one", ORANGE, "within one class"),
        ("accuracy", BLUE, "accuracy"),
    ):
        found = [row for row in rows if row["score"] == score and row["value"] is not None]
        _bars(axes, found, [where(row) for row in found], colour, text)
    axes.set_ylim(0, 1.02)


def _bars(axes: Any, rows: Sequence[Row], x: Sequence[float], colour: str, text: str) -> None:
    values = np.array([[row[key] for key in ("value", "low", "high")] for row in rows], float)
    spread = np.abs(values[:, 1:] - values[:, :1]).T
    axes.errorbar(
        x, values[:, 0], yerr=spread, fmt="o-", color=colour, markersize=4, capsize=2, label=text
    )


def _chance(axes: Any, chance: float) -> None:
    axes.axhline(chance, color=GREY, linewidth=0.8, linestyle="--", label="chance of the accuracy")


def _legend_above(axes: Any) -> None:
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3)


def _lag(steps: int, step_hours: float | None) -> str:
    return f"{steps * step_hours:g}" if step_hours else str(steps)
