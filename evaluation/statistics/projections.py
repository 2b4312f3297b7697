"""Whether patches of a candidate are distributed like those of the reference, in a projected space.

At each time, patches are drawn at the same places in both fields, uniformly over the area, and each
is projected to few numbers. Spaces:

    random    R x with x the patch, one channel at a time, and R of independent normal numbers,
              scaled so that |R x|² is |x|² on average (Johnson and Lindenstrauss)
    pca       the leading principal components of R x of the reference (R is one for patches of
              few points, and components are then those of the patches)
    encoder   the mean over a patch of the features of an encoder's stage, all channels together;
              only where an encoder is given

In a space, X and Y are the projected patches of candidate and reference, (n, k), with means μ and
covariances Σ (sums divided by n), and the spread of the reference s = √(tr Σ_Y):

    sliced Wasserstein   √(k mean_θ mean_i (sort(X θ)_i - sort(Y θ)_i)²) / s    for directions θ
    Fréchet              √(|μ_X - μ_Y|² + tr(Σ_X + Σ_Y - 2 (Σ_Y^½ Σ_X Σ_Y^½)^½)) / s
    RV coefficient       tr(Σ_XY Σ_YX) / √(tr Σ_X² tr Σ_Y²)      (Escoufier, 1973)

The distances are relative to the spread of the reference, and zero for equal samples; for normal
samples that only differ in their mean, both are the distance of the means over that spread, the
sliced one on average over directions. Both are biased for few patches: compare candidates over the
same times. RV asks whether patches of the same time and place have the same relations to each other
in both: it is in 0..1, one for equal samples, and does not see rotations, shifts and scales.

Memory: the projected vectors are kept, 4 k num_patches bytes for each time, channel and side: with
the defaults and two channels, 16 kB for each time.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Literal, Self, get_args

import numpy as np

from atmodist.fields.grid import Grid
from evaluation.contract.accumulation import options_of
from evaluation.contract.statistic import Picture, Sample, Statistic
from evaluation.numerics.setting import Setting

if TYPE_CHECKING:
    import xarray as xr

Space = Literal["random", "pca", "encoder"]
SPACES: tuple[Space, ...] = get_args(Space)
PLACES, MATRIX, DIRECTIONS = 1, 2, 3  # streams of random numbers
MEASURES = {
    "wasserstein": ("sliced Wasserstein distance", "lower"),
    "frechet": ("Fréchet distance", "lower"),
    "rv": ("RV coefficient", "higher"),
}
IN_SPACE = {"random": "random projections", "pca": "principal components", "encoder": "features"}


@dataclass(frozen=True, kw_only=True)
class Options:
    """Settings of the projections.

    Attributes:
        spaces: Of "random", "pca", "encoder"; the last only counts where an encoder is given.
        patch: Rows and columns of a patch, grid points; less on small grids.
        num_patches: Drawn at each time.
        num_projections: k of the random space.
        num_components: k of the principal components, at most `num_projections`.
        num_directions: θ of the sliced Wasserstein distance.
        stage: Of the encoder; by default that of its metric.
    """

    spaces: tuple[Space, ...] = SPACES
    patch: int = 32
    num_patches: int = 16
    num_projections: int = 64
    num_components: int = 16
    num_directions: int = 256
    stage: str | None = None

    def __post_init__(self) -> None:
        given: Any = self.spaces  # YAML may say one name
        spaces = (given,) if isinstance(given, str) else tuple(given)
        if not spaces or (unknown := [space for space in spaces if space not in SPACES]):
            found = unknown[0] if spaces else "none"
            raise ValueError(f"`spaces` must be of {', '.join(SPACES)}; got {found}")
        object.__setattr__(self, "spaces", spaces)
        for field in fields(self):
            value = getattr(self, field.name)
            whole = isinstance(value, int) and not isinstance(value, bool)
            if field.type is int and not (whole and value >= 1):
                raise ValueError(f"`{field.name}` must be a positive integer; got {value!r}")
        if self.num_components > self.num_projections:
            raise ValueError(
                f"`num_components` must be at most `num_projections`, {self.num_projections}; "
                f"got {self.num_components}"
            )


def sliced_wasserstein(x: np.ndarray, y: np.ndarray, directions: np.ndarray) -> float:
    """√(k mean_θ W2²(X θ, Y θ)), in the units of the samples.

    Args:
        x: (n, k).
        y: (n, k).
        directions: θ, unit vectors, (direction, k).

    Returns:
        |m| on average over all directions where y is x shifted by m; zero only for equal
        distributions, if directions are many.
    """
    along = (np.sort(sample @ directions.T, axis=0) for sample in (x, y))
    difference = next(along) - next(along)
    return float(np.sqrt(x.shape[1] * np.square(difference).mean()))


def unit_vectors(count: int, size: int, seed: int) -> np.ndarray:
    """Directions drawn uniformly, (count, size)."""
    drawn = np.random.default_rng([seed, DIRECTIONS]).normal(size=(count, size))
    return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


def frechet(x: np.ndarray, y: np.ndarray) -> float:
    """Fréchet distance: the Wasserstein-2 distance of normal distributions with the same moments.

    With the centred samples X = Q_X R_X √n and Y = Q_Y R_Y √m, Σ_X = R_Xᵀ R_X, and the trace of
    (Σ_Y^½ Σ_X Σ_Y^½)^½ is the sum of the singular values of R_X R_Yᵀ: no root of a matrix, which
    would lose half the digits where covariances are singular.

    Args:
        x: (n, k).
        y: (m, k).

    Returns:
        In the units of the samples.
    """
    one, other = _triangle(x), _triangle(y)
    crossed = np.linalg.svd(one @ other.T, compute_uv=False).sum()
    spread = np.square(one).sum() + np.square(other).sum() - 2 * crossed
    means = np.square(x.mean(axis=0) - y.mean(axis=0)).sum()
    return float(np.sqrt(means + max(spread, 0.0)))


def rv_coefficient(x: np.ndarray, y: np.ndarray) -> float:
    """RV coefficient of paired samples (n, k) and (n, l), 0..1; NaN where one does not vary."""
    own = np.sqrt(np.square(_covariance(x, x)).sum() * np.square(_covariance(y, y)).sum())
    return float(np.square(_covariance(x, y)).sum() / own) if own > 0 else np.nan


def principal_components(y: np.ndarray, count: int) -> np.ndarray:
    """The `count` leading eigenvectors of the covariance of y (n, k), as columns (k, count)."""
    return np.linalg.eigh(_covariance(y, y))[1][:, ::-1][:, :count]


def _triangle(x: np.ndarray) -> np.ndarray:
    """R with Σ = Rᵀ R."""
    return np.asarray(np.linalg.qr((x - x.mean(axis=0)) / np.sqrt(len(x)), mode="r"))


def _covariance(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return (x - x.mean(axis=0)).T @ (y - y.mean(axis=0)) / len(x)


def projection(num_points: int, count: int, seed: int) -> np.ndarray:
    """R, (projection, point) float32; one if there are no more points than projections."""
    if num_points <= count:
        return np.eye(num_points, dtype=np.float32)
    rng = np.random.default_rng([seed, MATRIX])
    return (rng.normal(size=(count, num_points)) / np.sqrt(count)).astype(np.float32)


def places(
    shape: tuple[int, int],
    patch: tuple[int, int],
    row_areas: np.ndarray,
    periodic: bool,
    count: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """First rows and columns of patches whose middles are uniform over the area, (count, 2).

    Args:
        shape: Of the field.
        patch: Rows and columns.
        row_areas: Of each row of the field, not negative.
        periodic: Whether patches may go over the last column.
        count: How many.
        rng: What to draw with.
    """
    firsts = np.arange(shape[0] - patch[0] + 1)
    areas = row_areas[firsts + patch[0] // 2]
    rows = rng.choice(firsts, count, p=areas / areas.sum())
    columns = rng.integers(0, shape[1] if periodic else shape[1] - patch[1] + 1, count)
    return np.stack([rows, columns], axis=1)


def cut(field: np.ndarray, first: np.ndarray, patch: tuple[int, int]) -> np.ndarray:
    """Patches (place, ..., row, column) of a field (..., latitude, longitude), over the seam."""
    rows = first[:, 0, None] + np.arange(patch[0])
    columns = (first[:, 1, None] + np.arange(patch[1])) % field.shape[-1]
    found = field[..., rows[:, :, None], columns[:, None, :]]
    return np.moveaxis(found, -3, 0)


class ProjectedPatches:
    """Projected patches of both sides, by space; steps are joined in time."""

    def __init__(self, setting: Setting):
        self._setting = setting
        self._options = options = options_of(Options, setting, "projections")
        self._spaces = [s for s in options.spaces if s != "encoder" or setting.encoder is not None]
        height, width = setting.grid.shape
        self._patch = min(options.patch, height), min(options.patch, width)
        self._matrix: np.ndarray | None = None
        # by kind of vectors: (time, side, channel, patch, number)
        self._steps: dict[str, list[np.ndarray]] = {}

    def update(self, sample: Sample) -> None:
        """Adds a time step."""
        both = (sample.candidate, sample.reference)
        if {"random", "pca"} & set(self._spaces):
            self._add("random", [self._sketch(field, sample.seconds) for field in both])
        if "encoder" in self._spaces:
            self._add("encoder", self._pooled(sample))

    def merge(self, later: Self) -> None:
        """Adds later steps."""
        for kind, steps in later._steps.items():
            self._steps.setdefault(kind, []).extend(steps)

    def arrays(self) -> dict[str, np.ndarray]:
        """For `restore`."""
        return {kind: np.stack(steps) for kind, steps in self._steps.items()}

    def restore(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Takes up what `arrays` returned."""
        self._steps = {kind: list(steps) for kind, steps in arrays.items()}

    def result(self) -> "xr.Dataset":
        """Numbers of all steps together: by channel, for the encoder of all channels."""
        import xarray as xr

        result = xr.Dataset(coords={"channel": [c.name for c in self._setting.channels]})
        for space in self._spaces:
            sides = self._sides("random" if space == "pca" else space)
            by_channel = []
            for x, y in sides:
                if space == "pca":
                    components = principal_components(y, self._options.num_components)
                    x, y = x @ components, y @ components
                by_channel.append(self._measures(x, y))
            for measure, (long_name, better) in MEASURES.items():
                numbers = np.array([found[measure] for found in by_channel])
                name = f"{measure}_{space}"
                if space == "encoder":
                    result[name] = ((), numbers[0])
                else:
                    result[name] = ("channel", numbers)
                result[name].attrs = {
                    "long_name": f"{long_name} of {IN_SPACE[space]}",
                    "units": "1",
                    "better": better,
                    "num_samples": len(sides[0][0]),
                }
                if measure == "frechet" and space == self._spaces[-1]:
                    result[name].attrs |= {"main": 8, "short_name": long_name}
        return result

    def _measures(self, x: np.ndarray, y: np.ndarray) -> dict[str, float]:
        spread = float(np.sqrt(np.trace(_covariance(y, y))))
        spread = spread if spread > 0 else np.nan
        directions = unit_vectors(self._options.num_directions, x.shape[1], self._setting.seed)
        return {
            "wasserstein": sliced_wasserstein(x, y, directions) / spread,
            "frechet": frechet(x, y) / spread,
            "rv": rv_coefficient(x, y),
        }

    def _sides(self, kind: str) -> list[tuple[np.ndarray, np.ndarray]]:
        """Candidate and reference, each (time * patch, number), by channel."""
        if kind not in self._steps:
            raise ValueError("`projections` has seen no time step")
        steps = np.stack(self._steps[kind]).astype(np.float64)
        joined = np.moveaxis(steps, 0, 2)  # (side, channel, time, patch, number)
        joined = joined.reshape(*joined.shape[:2], -1, joined.shape[-1])
        return list(zip(joined[0], joined[1], strict=True))

    def _add(self, kind: str, sides: Sequence[np.ndarray]) -> None:
        self._steps.setdefault(kind, []).append(np.stack(sides).astype(np.float32))

    def _draw(self, seconds: int) -> np.random.Generator:
        return np.random.default_rng([self._setting.seed, PLACES, seconds % 2**63])

    def _sketch(self, field: np.ndarray, seconds: int) -> np.ndarray:
        """Random projections of the patches, (channel, patch, projection)."""
        grid, options = self._setting.grid, self._options
        if self._matrix is None:
            num_points = self._patch[0] * self._patch[1]
            self._matrix = projection(num_points, options.num_projections, self._setting.seed)
        first = places(
            grid.shape,
            self._patch,
            grid.band_areas,
            grid.is_periodic,
            options.num_patches,
            self._draw(seconds),
        )
        patches = np.moveaxis(cut(field, first, self._patch), 1, 0)
        return patches.reshape(*patches.shape[:2], -1) @ self._matrix.T

    def _pooled(self, sample: Sample) -> list[np.ndarray]:
        """Mean features of patches, (1, patch, feature), of candidate and reference."""
        from evaluation.statistics.learned_distance import features_of, metric_of

        metric = metric_of(self._setting)
        stage = self._options.stage or max(metric.stages, key=lambda name: metric.stages[name])
        _, *both = features_of(sample, [stage])
        grid, stride = self._setting.grid, metric.features.stride(stage)
        rows, columns = both[0][stage].shape[:2]
        wanted = metric.features.encoder.input.shape[1] or self._options.patch
        size = max(1, wanted // stride)
        cells = min(size, rows), min(size, columns)
        first = places(
            (rows, columns),
            cells,
            _sums_by_stride(grid, stride),
            grid.is_periodic,
            self._options.num_patches,
            self._draw(sample.seconds),
        )
        return [
            cut(np.moveaxis(f[stage], -1, 0), first, cells).mean(axis=(-2, -1))[None] for f in both
        ]


def _sums_by_stride(grid: Grid, stride: int) -> np.ndarray:
    return np.add.reduceat(grid.band_areas, np.arange(0, grid.shape[0], stride))


class Projections(Statistic):
    """See the module."""

    name = "projections"
    title = "Projections: Wasserstein, Fréchet, RV"

    def accumulator(self, setting: Setting) -> ProjectedPatches:
        """Starts to accumulate."""
        return ProjectedPatches(setting)

    def draw(self, result: "xr.Dataset") -> Iterator[Picture]:
        """Draws all numbers as bars."""
        from evaluation.drawing import plotting

        names = [str(name) for name in result["candidate"].values]
        figure, panels = plotting.new(7.6, 3.8, ncols=len(MEASURES))
        for axes, (measure, (long_name, _)) in zip(panels, MEASURES.items(), strict=True):
            values = _bars(result, measure)
            heights = np.array(list(values.values()))  # (group, candidate)
            plotting.bars(axes, list(values), dict(zip(names, heights.T, strict=True)))
            axes.tick_params(axis="x", rotation=90, labelsize=7)
            axes.set_title(long_name)
        plotting.legend(figure, names, filled=True)
        panels[-1].set_ylim(0, 1.02)
        yield Picture(
            name="projections",
            title="Distributions of projected patches",
            caption="Distances between the distributions of projected patches of each candidate "
            "and of the reference, over the spread of the reference (lower is better), and the RV "
            "coefficient of the patches (higher is better), for each projected space and channel; "
            "features of an encoder see all channels together.",
            figure=figure,
        )


def _bars(result: "xr.Dataset", measure: str) -> dict[str, np.ndarray]:
    """Numbers of all candidates by label."""
    from evaluation.contract.units_text import words

    values: dict[str, np.ndarray] = {}
    for space in SPACES:
        name = f"{measure}_{space}"
        if name not in result:
            continue
        if "channel" not in result[name].dims:
            values[space] = result[name].values
            continue
        for channel in result["channel"].values:
            values[f"{space}, {words(channel)}"] = result[name].sel(channel=channel).values
    return values


STATISTIC = Projections()
