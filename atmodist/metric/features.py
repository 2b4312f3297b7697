"""Features of patches and of whole fields, by stage, as the metric compares them.

A patch is encoded as in training: zeros (after normalisation) lie around it. A whole field has as
few edges as its grid allows:

- On a circle of latitude there is none: features are those of the field continued periodically,
  as if it had been padded by the receptive field. Rolling it by a multiple of the stride rolls
  them. If the number of columns is no multiple of the stride, there is still no edge, but the last
  feature stands for the few columns that are left, and rolling changes features a little.
- Over a pole of a global grid, rows go on along the same meridian on the other side: mirrored,
  shifted by 180 degrees, with their sign, as scalars do; eastward and northward winds change it. A
  row on the pole is not repeated. This goes on for `polar_margin` rows in the north, whole strides,
  so that the first feature starts with the first row; in the south to the end of a stride, past a
  third of that at least. Beyond are zeros.
- At the edges of a regional field are zeros, as around a patch.

Feature (j, i) of a stage with stride s stands for the grid points of rows j·s ... j·s + s - 1 and
columns i·s ... i·s + s - 1, as many as there are; their areas are its weight.
"""

import math
import threading
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import keras
import numpy as np

from atmodist.fields.grid import Grid
from atmodist.fields.normalization import Normalization
from atmodist.metric.padding import WINDS, PaddedLayout, bands, multiple_of
from atmodist.metric.receptive_field import Adapted, FieldOfView, adapted, extents

BAND_BYTES = 1 << 30  # of activations, roughly; a larger field is encoded in bands of latitude
LIVE_TENSORS = 6  # of the largest size at a time, roughly
SOUTHERN_SHARE = 3  # the margin in the south is at least one part in so many of that in the north


class StageFeatures:
    """Features of fields in physical units, from an encoder that stays as it is.

    The encoder is copied, and only ever runs in inference mode.

    Args:
        encoder: From (batch, latitude, longitude, channel) to a dictionary of features by stage.
        normalization: What it was trained with.
        polar_margin: Rows continued over the north pole, rounded up to the stride. By default what
            the receptive field asks for, but no more than a quarter of a training patch: there,
            three features in four are nearer than that to zeros.
        band_bytes: Memory for activations, roughly.
    """

    def __init__(
        self,
        encoder: keras.Model,
        normalization: Normalization,
        *,
        polar_margin: int | None = None,
        band_bytes: int = BAND_BYTES,
    ):
        if not isinstance(encoder.output, dict):
            raise ValueError("the encoder must have a dictionary of outputs, by stage")
        self._num_channels = len(normalization.channels)
        if encoder.input.shape[-1] != self._num_channels:
            raise ValueError(
                f"the encoder takes {encoder.input.shape[-1]} channels; the normalisation has "
                f"{self._num_channels}: {normalization.channels}"
            )
        if polar_margin is not None and polar_margin < 0:
            raise ValueError(f"`polar_margin` must not be negative; got {polar_margin}")
        self.encoder = encoder
        self.normalization = normalization
        self.names: tuple[str, ...] = tuple(encoder.output)
        self._options = {"polar_margin": polar_margin, "band_bytes": band_bytes}
        self._band_bytes = band_bytes
        self._polar_margin = polar_margin
        self._networks: dict[tuple[tuple[str, ...], int | None], Adapted] = {}
        self._weights: dict[tuple[Any, ...], np.ndarray] = {}
        self._lock = threading.Lock()  # one forward pass at a time: memory, and all cores anyway

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuilt, (self.encoder, self.normalization, self._options)

    @cached_property
    def extents(self) -> dict[str, FieldOfView]:
        """What a feature of each stage sees."""
        return extents(self.encoder)

    def stride(self, stage: str) -> int:
        """Grid points between two features of a stage."""
        return self.extents[self._known(stage)].stride

    def num_features(self, stage: str) -> int:
        """Channels of a stage."""
        return int(self.encoder.output[self._known(stage)].shape[-1])

    def patches(self, x: np.ndarray, stages: Sequence[str] | None = None) -> dict[str, np.ndarray]:
        """Encodes patches as in training.

        Args:
            x: (batch, latitude, longitude, channel) in physical units; extents that are multiples
                of the stride.
            stages: Which stages; all by default.

        Returns:
            Features by stage, (batch, latitude, longitude, feature).
        """
        x = np.asarray(x, np.float32)
        if x.ndim != 4 or x.shape[-1] != self._num_channels:
            raise ValueError(
                f"patches must be (batch, latitude, longitude, {self._num_channels}); "
                f"got shape {x.shape}"
            )
        network = self._network(self._chosen(stages))
        if any(extent % network.stride for extent in x.shape[1:3]):
            raise ValueError(
                f"patches of {x.shape[1]} x {x.shape[2]} points are no multiple of the stride, "
                f"{network.stride}"
            )
        self._require_finite(x)
        return self._run(network, self.normalization(x))

    def field(
        self, x: np.ndarray, grid: Grid, stages: Sequence[str] | None = None
    ) -> dict[str, np.ndarray]:
        """Encodes one whole field, as the module describes.

        Args:
            x: (channel, latitude, longitude) or (latitude, longitude, channel), in physical units.
            grid: Its grid.
            stages: Which stages; all by default.

        Returns:
            Features by stage, (latitude, longitude, feature), one for each stride x stride points
            or what is left of them in the south and east.
        """
        chosen = self._chosen(stages)
        physical = self._channels_last(np.asarray(x, np.float32), grid)
        normalized, across = self.normalization(physical), self._across(physical, grid)
        network = self._network(chosen, grid.shape[1] if grid.is_periodic else None)
        layout = self._layout(network, grid)
        parts: dict[str, list[np.ndarray]] = {stage: [] for stage in chosen}
        for first, last in bands(layout.num_cells, self._band_cells(network, layout)):
            for stage, part in self._band(network, layout, normalized, across, first, last).items():
                parts[stage].append(part)
        cropped = {}
        for stage, pieces in parts.items():
            rows, columns = (-(-n // self.stride(stage)) for n in grid.shape)
            whole = pieces[0] if len(pieces) == 1 else np.concatenate(pieces)
            cropped[stage] = whole[:rows, :columns]
        return cropped

    def cell_weights(self, stage: str, grid: Grid) -> np.ndarray:
        """Share of the area that each feature stands for; sums to one.

        Returns:
            (latitude, longitude) of the features of the stage: sums of `grid.area_weights` over
            the points of each feature.
        """
        key = (stage, grid.latitude.tobytes(), grid.longitude.tobytes())
        if key not in self._weights:
            stride = self.stride(stage)
            rows = np.add.reduceat(grid.area_weights[:, 0], np.arange(0, grid.shape[0], stride))
            counts = np.add.reduceat(np.ones(grid.shape[1]), np.arange(0, grid.shape[1], stride))
            self._weights[key] = rows[:, None] * counts
        return self._weights[key]

    def on_grid(self, stage: str, cells: np.ndarray, grid: Grid) -> np.ndarray:
        """Gives each grid point the value of the feature that stands for it.

        Args:
            stage: Whose features.
            cells: (..., latitude, longitude) of the features.
            grid: The grid.

        Returns:
            (..., latitude, longitude) of the grid.
        """
        rows, columns = (np.arange(n) // self.stride(stage) for n in grid.shape)
        return cells[..., rows[:, None], columns]

    def _band(
        self,
        network: Adapted,
        layout: PaddedLayout,
        x: np.ndarray,
        across: np.ndarray | None,
        first: int,
        last: int,
    ) -> dict[str, np.ndarray]:
        """Features of the cells first ... last - 1, counted in steps of the largest stride."""
        stride = network.stride
        north, south = first + layout.margin_cells, last + layout.margin_cells
        top = max(north - layout.cells_before, 0)
        bottom = min(south + layout.cells_after, layout.padded_cells)
        points = np.arange(top * stride, bottom * stride) - layout.margin
        padded = layout.padded(x, points, across)[np.newaxis]
        cropped = {}
        for stage, values in self._run(network, padded).items():
            ratio = stride // self.stride(stage)
            left = layout.left // self.stride(stage)
            rows = slice((north - top) * ratio, (south - top) * ratio)
            cropped[stage] = values[0, rows, left : values.shape[2] - left]
        return cropped

    def _across(self, physical: np.ndarray, grid: Grid) -> np.ndarray | None:
        """The normalised field as it goes on over the poles; None if that is the field itself."""
        if not grid.is_global or WINDS.isdisjoint(self.normalization.channels):
            return None
        signs = [-1.0 if name in WINDS else 1.0 for name in self.normalization.channels]
        return self.normalization(physical * np.asarray(signs, np.float32))

    def _layout(self, network: Adapted, grid: Grid) -> PaddedLayout:
        seen = max(max(extent.before, extent.after) for extent in network.extents.values())
        margins = self._margins(network.stride, seen) if grid.is_global else (0, 0)
        return PaddedLayout.of(network, grid, margins)

    def _margins(self, stride: int, seen: int) -> tuple[int, int]:
        """Rows continued over the north pole, and the fewest over the south pole."""
        if self._polar_margin is not None:
            return multiple_of(self._polar_margin, stride), self._polar_margin
        patch_rows = self.encoder.input.shape[1]
        if patch_rows is None or seen <= patch_rows // 4:
            return multiple_of(seen, stride), seen
        north = max(patch_rows // 4 // stride, 1) * stride
        return north, north // SOUTHERN_SHARE

    def _band_cells(self, network: Adapted, layout: PaddedLayout) -> int:
        columns = layout.grid.shape[1] + layout.left + layout.right
        row_bytes = 4 * network.floats_per_point * LIVE_TENSORS * columns
        rows = int(self._band_bytes / row_bytes)
        halo = layout.cells_before + layout.cells_after
        if rows >= layout.padded_cells * network.stride:
            return layout.num_cells
        # Bands much smaller than their halo would mostly repeat each other's work.
        return max(rows // network.stride - halo, halo // 2, 1)

    def _run(self, network: Adapted, x: np.ndarray) -> dict[str, np.ndarray]:
        with self._lock:
            features = network.model.predict_on_batch(x.astype(np.float32, copy=False))
        return {stage: np.asarray(values) for stage, values in features.items()}

    def _network(self, stages: tuple[str, ...], columns: int | None = None) -> Adapted:
        """An encoder for circles of so many columns, or for fields with edges."""
        if columns is not None:
            columns = math.gcd(columns, max(self.stride(stage) for stage in stages))
        with self._lock:
            if (stages, columns) not in self._networks:
                network = adapted(self.encoder, stages, columns=columns)
                # XLA gains little on a CPU and compiles anew for each shape; JAX needs it.
                network.model.compile(jit_compile=keras.backend.backend() == "jax")
                self._networks[stages, columns] = network
            return self._networks[stages, columns]

    def _channels_last(self, x: np.ndarray, grid: Grid) -> np.ndarray:
        if x.shape == (self._num_channels, *grid.shape):
            x = np.moveaxis(x, 0, -1)
        elif x.shape != (*grid.shape, self._num_channels):
            raise ValueError(
                f"a field must be ({self._num_channels}, {grid.shape[0]}, {grid.shape[1]}): "
                f"channels {self.normalization.channels}, latitude and longitude of the grid; "
                f"got shape {x.shape}"
            )
        self._require_finite(x)
        return x

    def _require_finite(self, x: np.ndarray) -> None:
        if np.isfinite(x).all():
            return
        for c, name in enumerate(self.normalization.channels):
            bad = x[..., c].size - int(np.isfinite(x[..., c]).sum())
            if bad:
                raise ValueError(
                    f"{bad} of {x[..., c].size} values of {name} are missing (NaN) or infinite; "
                    "the distance needs complete fields"
                )

    def _chosen(self, stages: Sequence[str] | None) -> tuple[str, ...]:
        if stages is None:
            return self.names
        if isinstance(stages, str):
            stages = (stages,)
        return tuple(sorted({self._known(stage) for stage in stages}, key=self.names.index))

    def _known(self, stage: str) -> str:
        if stage not in self.names:
            raise ValueError(f"there is no stage {stage!r}; there are {', '.join(self.names)}")
        return stage


def _rebuilt(
    encoder: keras.Model, normalization: Normalization, options: dict[str, Any]
) -> StageFeatures:
    return StageFeatures(encoder, normalization, **options)
