"""The model card of a generator package: Markdown under YAML, as the Hugging Face Hub reads it.

All of it is told from the manifest and `generator.json`, so that a card never claims what was not
recorded.
"""

import json
from collections.abc import Mapping
from typing import Any

from atmodist.metric.model_card import plain
from srgan.generators.facts import GeneratorFacts

_TAGS = ("srgan", "keras", "weather", "climate", "super-resolution")
_LOW = {
    "physical": "area-weighted block means in physical units",
    "normalized": "block means of the normalised field",
    "paired": "fields of another archive",
}
_USE = """\
```python
import srgan

generator = srgan.load_generator("path/or/hf-address/of/this/package")
high = generator(low, grid=grid)  # (..., channel, latitude, longitude), physical units; or xarray
```

On the command line: `phire-infer path/or/hf-address low.h5 --output high.h5`."""


def model_card(name: str, manifest: Mapping[str, Any], facts: GeneratorFacts) -> str:
    """Writes the card.

    Args:
        name: Of the package.
        manifest: As in the package; its files need not be listed yet.
        facts: What the generator was made for.
    """
    front = [
        "---",
        f"license: {json.dumps(manifest['license'])}",  # JSON strings are YAML strings
        "library_name: keras",
        "tags:",
        *(f"- {tag}" for tag in _TAGS),
        "---",
    ]
    return "\n".join([*front, "", *_body(name, manifest, facts), ""])


def _body(name: str, manifest: Mapping[str, Any], facts: GeneratorFacts) -> list[str]:
    channels = zip(manifest["channels"], manifest["units"], strict=True)
    fields = ", ".join(
        f"{plain(channel)} ({plain(units) or 'units not recorded'})" for channel, units in channels
    )
    steps = " x ".join(map(str, facts.factors))
    stochastic = "yes, each seed gives another field" if facts.noise_channels else "no"
    return [
        f"# {plain(name)}",
        "",
        "Super-resolution of atmospheric fields (SRGAN): from coarse fields to fields that are "
        f"{facts.factor} times finer in latitude and longitude.",
        "",
        f"- Fields: {fields}",
        f"- Factor: {facts.factor} ({steps})",
        f"- Fine grid in training: {_grid(facts)}",
        f"- Coarse fields in training: {_LOW[facts.degradation]}, grids {facts.alignment}",
        f"- Static fields: {plain(', '.join(facts.static)) or 'none'}",
        f"- Keeps the coarse field exactly: {'yes' if facts.projection else 'no'}",
        f"- Stochastic: {stochastic}",
        f"- Sees {facts.receptive_radius} coarse cells around each",
        f"- Parameters: {manifest['parameters']:,}",
        f"- Normalisation: {manifest['normalization']}",
        "",
        "Where nothing was left to know from the coarse field, details are plausible, not true.",
        "",
        "## Use",
        "",
        _USE,
        "",
        "## Training",
        "",
        *_training(manifest),
    ]


def _grid(facts: GeneratorFacts) -> str:
    spacing = facts.spacing_degrees
    words = [plain(facts.grid)] if facts.grid else []
    words += [f"{spacing[0]:.4g} x {spacing[1]:.4g} degrees"] if spacing else []
    return ", ".join(words) or "not recorded"


def _training(manifest: Mapping[str, Any]) -> list[str]:
    training = manifest.get("training") or {}
    config = training.get("config") or {}
    config = config if isinstance(config, Mapping) else {}
    facts = {
        "Content loss": config.get("content"),
        "Training patches": training.get("num_train"),
        "Evaluation patches": training.get("num_evaluation"),
        "Seed": training.get("seed"),
    }
    lines = [f"- {label}: {plain(value)}" for label, value in facts.items() if value is not None]
    versions = training.get("versions")
    if isinstance(versions, Mapping) and versions:
        made = ", ".join(f"{package} {version}" for package, version in versions.items())
        lines.append(f"- Made with: {plain(made)}")
    return lines or ["Not recorded."]
