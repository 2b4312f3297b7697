"""The model card of an encoder package: Markdown under YAML, as the Hugging Face Hub reads it.

All of it is told from the manifest, so that a card never claims what was not recorded.
"""

import json
from collections.abc import Mapping
from typing import Any

_SCORES = {
    "accuracy": "accuracy",
    "within_one": "share at most one label off",
    "top3": "top-3 accuracy",
    "loss": "loss",
    "rmse": "root mean square error of normalised fields",
    "explained": "share of the variance explained",
}

_FIRST_TASK = "temporal_distance"  # the only one there was

_OPEN = """\
from atmodist import load_metric

metric = load_metric("path/or/hf-address/of/this/package")"""
_MAKE_GRID = """\
from atmodist.fields.grid import Grid

grid = Grid(latitude, longitude)  # degrees north, from north to south; degrees east"""
_FIELDS = "# Fields: (channel, latitude, longitude) in physical units, or xarray objects."


def model_card(name: str, manifest: Mapping[str, Any]) -> str:
    """Writes the card.

    Args:
        name: Of the package.
        manifest: As in the package; its files need not be listed yet.
    """
    return "\n".join([*_front_matter(manifest), "", *_body(name, manifest), ""])


def _front_matter(manifest: Mapping[str, Any]) -> list[str]:
    scores = _scores(manifest)
    lines = [
        "---",
        f"license: {json.dumps(manifest['license'])}",  # JSON strings are YAML strings
        "library_name: keras",
        "tags:",
        *(f"- {tag}" for tag in ("atmodist", "keras", "weather", "climate", "feature-extraction")),
    ]
    lines += ["metrics:", "- accuracy"] if "accuracy" in scores else []
    return [*lines, "---"]


def _body(name: str, manifest: Mapping[str, Any]) -> list[str]:
    encoder = manifest["encoder"]
    channels = zip(manifest["channels"], manifest["units"], strict=True)
    fields = ", ".join(
        f"{channel} ({units or 'units not recorded'})" for channel, units in channels
    )
    shape = " x ".join("any" if n is None else str(n) for n in encoder["input_shape"])
    lines = [
        f"# {plain(name)}",
        "",
        f"A ruler for the atmosphere: an encoder that learnt to {_learnt(manifest)}, and "
        "whose features make a distance between atmospheric states "
        "(AtmoDist, [arXiv 2202.01897](https://arxiv.org/abs/2202.01897)).",
        "",
        f"- Fields: {fields}",
        f"- Patches in training: {shape} (latitude, longitude, channel)",
        f"- Parameters: {encoder['parameters']:,}",
        f"- Normalisation: {manifest['normalization']}",
        f"- {_grid(manifest)}",
        "- Calibrated: " + _calibrated(manifest),
        "",
        "## Stages",
        "",
        "| stage | grid points per feature | features |",
        "|---|---|---|",
    ]
    for stage, facts in encoder["stages"].items():
        lines.append(f"| {stage} | {facts['stride']} | {facts['features']} |")
    lines += ["", "## Use", "", *_use(manifest), "", "## Training", "", *_training(manifest)]
    return lines


def _grid(manifest: Mapping[str, Any]) -> str:
    grid = manifest.get("grid")
    if not grid:
        return "Grid: not recorded; use fields of the spacing it was trained on"
    latitude, longitude = grid["latitude"], grid["longitude"]
    text = f"Grid: {len(latitude)} latitudes x {len(longitude)} longitudes"
    if "spacing_degrees" not in grid:
        return text
    rows, columns = grid["spacing_degrees"]
    return f"{text}, every {rows:.4g} x {columns:.4g} degrees ({grid['spacing_km']:.3g} km)"


def _calibrated(manifest: Mapping[str, Any]) -> str:
    if not manifest.get("calibrated"):
        return "no; distances are relative, and cannot be compared with those of other encoders"
    facts = manifest.get("calibration") or {}
    on = f", on {plain(facts['fields'])}" if facts.get("fields") else ""
    of = " of such patches, not of whole fields," if facts.get("kind") == "patches" else ""
    limit = f", up to {facts['max_hours']:g} h" if facts.get("max_hours") else ""
    return f"yes{on}; distances{of} can be read as equivalent hours{limit}"


def _use(manifest: Mapping[str, Any]) -> list[str]:
    """Code that runs once there are fields; arrays are taken to be on the grid of the package."""
    known = bool(manifest.get("grid"))
    grid = "" if known else ", grid=grid"
    lines = ["```python", _OPEN, *([] if known else [_MAKE_GRID]), _FIELDS]
    lines.append(f"distance = metric(field_a, field_b{grid})")
    if manifest.get("calibrated"):
        lines.append(f"hours, low, high = metric.hours(field_a, field_b{grid})")
    return [*lines, f"where = metric.map(field_a, field_b{grid})", "```"]


def _training(manifest: Mapping[str, Any]) -> list[str]:
    training = manifest.get("training") or {}
    config = training.get("config") or {}
    facts = {
        "Pretext task": _task(manifest).replace("_", " ") if config.get("task") else None,
        "Architecture": config.get("architecture"),
        "Training pairs": training.get("num_train"),
        "Evaluation pairs": training.get("num_evaluation"),
        "Best epoch": training.get("best_epoch"),
        "Seed": training.get("seed"),
    }
    lines = [f"- {label}: {plain(value)}" for label, value in facts.items() if value is not None]
    for score, value in _scores(manifest).items():
        lines.append(f"- On the evaluation pairs, {_SCORES[score]}: {value:.4g}")
    versions = training.get("versions") or {}
    if versions:
        made = ", ".join(f"{package} {version}" for package, version in versions.items())
        lines.append(f"- Made with: {plain(made)}")
    return lines or ["Not recorded."]


def _scores(manifest: Mapping[str, Any]) -> dict[str, float]:
    best = (manifest.get("evaluation") or {}).get("best") or {}
    return {name: best[name] for name in _SCORES if isinstance(best.get(name), int | float)}


def _task(manifest: Mapping[str, Any]) -> str:
    """The pretext task; encoders from elsewhere, and first runs, knew but one."""
    config = (manifest.get("training") or {}).get("config") or {}
    return str(config.get("task") or _FIRST_TASK)


def _learnt(manifest: Mapping[str, Any]) -> str:
    """What the encoder learnt; runs of version 0.1 told no more than the name of their task."""
    task = _task(manifest)
    told = (
        "tell how far apart in time two fields are"
        if task == _FIRST_TASK
        else f"solve the task {task}"
    )
    return plain((manifest.get("training") or {}).get("learnt") or told)


def plain(value: Any) -> str:
    """One line, without what Markdown or HTML would read as markup."""
    return " ".join(str(value).replace("<", "(").replace(">", ")").split())
