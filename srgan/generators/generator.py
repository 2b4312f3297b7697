"""A trained generator applied to whole fields, in tiles.

The coarse field is normalised, cut into windows (`tiles`), refined window by window, and brought
back to physical units. Noise is drawn for the whole coarse field, from seed, member and step alone,
and cut like the field, so that tiles meet.
"""

import math
import threading
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from atmodist.fields.grid import Grid
from atmodist.fields.normalization import Normalization
from srgan.generators.facts import GeneratorFacts
from srgan.generators.tiles import Tile, tile_shape, tiles, window_shape
from srgan.restoration.geometry import Refinement
from srgan.restoration.restoration import Restoration
from srgan.samples.static import LATITUDE

TILE_BYTES = 2 << 30  # of activations, roughly; leaves room on a laptop with 16 GB
LIVE_TENSORS = 3  # of the largest size at a time, roughly


class Generator(Restoration):
    """Super-resolution by a trained network; see `Restoration` for what it takes and returns.

    Args:
        network: From a dictionary with "low", and where needed "static", "noise" and
            "row_weights", to the fine field; (batch, latitude, longitude, channel), normalised.
        normalization: Of coarse and fine fields.
        facts: What it was made for.
        static: Static fields on the fine grid, as in training, where it needs any other than
            latitude. Shape (latitude, longitude, static).
        tile: Rows and columns of a tile, in coarse cells. By default as large as `tile_bytes`
            allow.
        tile_bytes: Memory for the activations of one tile, roughly.

    Example:
        >>> generator = load_generator("run")
        >>> high = generator(low, grid=grid)  # (channel, latitude, longitude), physical units
    """

    def __init__(
        self,
        network: keras.Model,
        normalization: Normalization,
        facts: GeneratorFacts,
        *,
        static: np.ndarray | None = None,
        tile: tuple[int, int] | None = None,
        tile_bytes: float = TILE_BYTES,
    ):
        _check_network(network, facts)
        if normalization.channels != facts.channels:
            raise ValueError(
                f"the generator has the channels {facts.channels}; its normalisation "
                f"{normalization.channels}"
            )
        if tile is not None and min(tile) < 1:
            raise ValueError(f"`tile` must be positive numbers of coarse cells; got {tile}")
        if not tile_bytes > 0:
            raise ValueError(f"`tile_bytes` must be positive; got {tile_bytes}")
        self.name = "generator"
        self.network = network
        self.normalization = normalization
        self.facts = facts
        self.factor = facts.factor
        self.channels: tuple[str, ...] = facts.channels
        self.units = normalization.units
        self.alignment = facts.alignment
        self.is_stochastic = facts.noise_channels > 0
        self.keeps_means = facts.projection
        self.is_paired = facts.degradation == "paired"
        self.averaged_with = normalization if facts.degradation == "normalized" else None
        self.static = _checked_static(static, facts)
        self.tile = tile
        self.tile_bytes = tile_bytes
        self._lock = threading.Lock()  # one tile at a time: memory, and all cores anyway
        # XLA gains little on a CPU and compiles anew for each shape; JAX needs it.
        network.jit_compile = keras.backend.backend() == "jax"

    def __reduce__(self) -> tuple[Any, ...]:
        options = {"static": self.static, "tile": self.tile, "tile_bytes": self.tile_bytes}
        return _rebuilt, (self.network, self.normalization, self.facts, options)

    def concern(self, grid: Grid) -> str | None:
        """Says so if a coarse grid is much coarser or finer than those of the training."""
        return self.facts.concern(grid)

    def tiling(self, refinement: Refinement) -> tuple[tuple[int, int], tuple[int, int]]:
        """Shape of the tiles of a field, and of the windows they are computed from; in cells."""
        radius = self.facts.receptive_radius
        shape = self.tile or tile_shape(refinement, radius, self.tile_bytes / self._cell_bytes)
        return shape, window_shape(refinement, radius, shape)

    def _refined(
        self, low: np.ndarray, refinement: Refinement, key: tuple[int, int, int]
    ) -> np.ndarray:
        inputs = {"low": self.normalization.network_input(low)}
        if self.is_stochastic:
            shape = (*refinement.low.shape, self.facts.noise_channels)
            inputs["noise"] = np.random.default_rng(key).standard_normal(shape, np.float32)
        height, width = refinement.high.shape
        out = np.empty((len(low), height, width), np.float32)
        f = self.factor
        for tile in tiles(refinement, self.facts.receptive_radius, self.tiling(refinement)[0]):
            fine = self._tile(inputs, refinement, tile)
            top, left = tile.rows.start * f, tile.columns.start * f
            part = out[:, top : tile.rows.stop * f, left : tile.columns.stop * f]
            part[...] = np.moveaxis(fine, -1, 0)[:, : part.shape[1], : part.shape[2]]
        if self.facts.projection and width % f:
            self._keep_means_of_partial_columns(out, low, refinement)
        return out

    def _keep_means_of_partial_columns(
        self, high: np.ndarray, low: np.ndarray, refinement: Refinement
    ) -> None:
        """Projects the last column of blocks, in place: the network's had its whole width."""
        f = self.factor
        edge = high[:, :, high.shape[2] // f * f :]
        wanted = self.averaged(np.asarray(low[:, :, -1:], np.float32))
        missing = wanted - self.averaged(self.degraded(edge, refinement.high))
        missing = np.repeat(missing, f, axis=1)[:, : high.shape[1]]
        edge[...] = self.physical(self.averaged(edge) + missing)

    def _tile(
        self, inputs: Mapping[str, np.ndarray], refinement: Refinement, tile: Tile
    ) -> np.ndarray:
        """The fine points of a tile, in physical units; (latitude, longitude, channel)."""
        rows, columns, f = tile.window_rows, tile.window_columns, self.factor
        batch = {
            name: refinement.low_window(values, rows, columns) for name, values in inputs.items()
        }
        if self.facts.static:
            batch["static"] = refinement.high_window(self._static_on(refinement), rows, columns)
        if self.facts.projection:
            by_area = self.averaged_with is None  # as in training
            batch["row_weights"] = refinement.row_weights(rows, by_area=by_area)
        fine = self._run({name: values[np.newaxis] for name, values in batch.items()})[0]
        top, left = (tile.rows.start - rows.start) * f, (tile.columns.start - columns.start) * f
        inner = fine[top : top + len(tile.rows) * f, left : left + len(tile.columns) * f]
        return self.normalization.inverse(np.ascontiguousarray(inner, np.float32))

    def _run(self, batch: Mapping[str, np.ndarray]) -> np.ndarray:
        with self._lock:
            return np.asarray(self.network.predict_on_batch(dict(batch)))

    @property
    def _cell_bytes(self) -> float:
        """Bytes of activations per coarse cell, roughly."""
        return 4.0 * LIVE_TENSORS * floats_per_cell(self.network, self.facts)

    def _static_on(self, refinement: Refinement) -> np.ndarray:
        """Static fields on the fine grid: those given, or the sine of the latitude."""
        high = refinement.high
        if self.static is None:
            sine = np.sin(np.radians(high.latitude)).astype(np.float32)
            return np.broadcast_to(sine[:, None, None], (*high.shape, 1))
        if self.static.shape[:2] != high.shape:
            raise ValueError(
                f"the static fields are on {self.static.shape[0]} x {self.static.shape[1]} points; "
                f"the fine grid has {high.shape[0]} x {high.shape[1]}"
            )
        return self.static


def floats_per_cell(network: keras.Model, facts: GeneratorFacts, side: int = 16) -> float:
    """Size of the largest tensor inside a network, in numbers per coarse cell."""
    outputs = [node.outputs for layer in network.layers for node in layer._inbound_nodes]
    inner = keras.Model(network.input, keras.tree.flatten(outputs))
    shapes = {
        "low": (1, side, side, len(facts.channels)),
        "static": (1, side * facts.factor, side * facts.factor, len(facts.static)),
        "noise": (1, side, side, facts.noise_channels),
        "row_weights": (1, side * facts.factor),
    }
    given = {name: keras.KerasTensor(shapes[name]) for name in network.input}
    found = inner.compute_output_spec(given)
    return max(math.prod(tensor.shape) for tensor in keras.tree.flatten(found)) / side**2


def _check_network(network: keras.Model, facts: GeneratorFacts) -> None:
    needed = {
        "low": True,
        "static": bool(facts.static),
        "noise": facts.noise_channels > 0,
        "row_weights": facts.projection,
    }
    expected = sorted(name for name, is_needed in needed.items() if is_needed)
    given = network.input
    if not isinstance(given, dict) or sorted(given) != expected:
        found = sorted(given) if isinstance(given, dict) else "no names"
        raise ValueError(f"the network takes {found}; a generator of these facts takes {expected}")
    extents = {
        "low": len(facts.channels),
        "static": len(facts.static),
        "noise": facts.noise_channels,
    }
    for name, channels in extents.items():
        if name in given and given[name].shape[1:] != (None, None, channels):
            raise ValueError(
                f"the network takes {name!r} of shape {given[name].shape[1:]}; expected free "
                f"extents and {channels} channels"
            )
    shape: tuple[int | None, ...] = tuple(getattr(network.output, "shape", ()))
    if len(shape) != 4 or shape[-1] != len(facts.channels):
        raise ValueError(
            f"the network makes {shape}; expected (batch, latitude, longitude, "
            f"{len(facts.channels)})"
        )


def _checked_static(static: np.ndarray | None, facts: GeneratorFacts) -> np.ndarray | None:
    if facts.static in ((), (LATITUDE,)):
        return None  # latitude is known everywhere
    if static is None:
        raise ValueError(
            f"the generator needs the static fields {', '.join(facts.static)} on the fine grid"
        )
    static = np.asarray(static, np.float32)
    if static.ndim != 3 or static.shape[-1] != len(facts.static):
        raise ValueError(
            f"static fields must be (latitude, longitude, {len(facts.static)}), as "
            f"{facts.static}; got shape {static.shape}"
        )
    if not np.isfinite(static).all():
        raise ValueError("static fields have missing values (NaN) or infinite ones")
    return static


def _rebuilt(
    network: keras.Model,
    normalization: Normalization,
    facts: GeneratorFacts,
    options: dict[str, Any],
) -> Generator:
    return Generator(network, normalization, facts, **options)
