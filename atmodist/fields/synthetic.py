"""A made-up atmosphere: an archive to try everything on, without a download and within seconds.

Stream function and velocity potential are random on the sphere and linear in time: the part of
degree l and order m drifts westwards as a Rossby wave on a super-rotating flow and forgets its
past, faster at small scales,

    ψ_lm(t + Δt) = ρ_l exp(-i m ω_l Δt) ψ_lm(t) + √(1 - ρ_l²) ε,   ρ_l = exp(-Δt / τ_l),
    ω_l = U/a - 2Ω / (l(l+1)),   τ_l = τ (l_0 / l)^(2/3) for l > l_0.

So nearby times look alike and distant ones do not, as in the real atmosphere, though there are no
dynamics in it. It serves quickstarts, tests and benchmarks; it is no substitute for weather.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from tqdm import tqdm

from atmodist.fields.archive import Compression
from atmodist.fields.archive_writer import ArchiveWriter
from atmodist.fields.channels import DIVERGENCE, VORTICITY
from atmodist.fields.grid import Grid, make_grid
from atmodist.files.constants import EARTH_RADIUS

ROTATION_RATE = 7.292e-5  # Ω, rad s⁻¹
SUPER_ROTATION = 15.0  # U at the equator, m s⁻¹
MEMORY = 36 * 3600.0  # τ, seconds, of the largest scales
MEMORY_DEGREE = 8  # l_0
VORTICITY_STD = 4e-5  # s⁻¹, about that of the lower troposphere
DIVERGENCE_STD = 2e-5  # s⁻¹


def synthetic_fields(
    grid: Grid, num_steps: int, *, step_seconds: int = 10_800, seed: int = 0, truncation: int = 42
) -> Iterator[np.ndarray]:
    """Yields fields (channel, latitude, longitude), divergence then vorticity, in s⁻¹, float32.

    Args:
        grid: A global grid.
        num_steps: How many.
        step_seconds: Time between them.
        seed: The same seed gives the same fields.
        truncation: Largest degree l.
    """
    degrees = np.arange(truncation + 1)
    order = np.arange(truncation + 1)[None, :]
    inside = order <= degrees[:, None]
    amplitude = np.where(inside, _amplitude(degrees)[:, None], 0.0)
    memory = MEMORY * np.minimum(1.0, (MEMORY_DEGREE / np.maximum(degrees, 1)) ** (2 / 3))
    keep = np.exp(-step_seconds / memory)[:, None]
    drift = SUPER_ROTATION / EARTH_RADIUS - 2 * ROTATION_RATE / np.maximum(
        degrees * (degrees + 1.0), 1.0
    )
    phase = np.exp(-1j * order * drift[:, None] * step_seconds)
    scale = np.array([DIVERGENCE_STD, VORTICITY_STD])[:, None, None]
    synthesis = _Synthesis(grid, truncation)

    def noise(step: int) -> np.ndarray:
        rng = np.random.default_rng([seed, step])
        parts = rng.standard_normal((2, 2, *amplitude.shape))
        return (parts[0] + 1j * parts[1]) * amplitude * scale

    state = noise(0)
    for step in range(num_steps):
        if step:
            state = keep * phase * state + np.sqrt(1 - keep**2) * noise(step)
        yield synthesis(state)


def generate_archive(
    path: str | Path,
    *,
    num_steps: int = 120,
    num_rows: int = 64,
    step_seconds: int = 10_800,
    seed: int = 0,
    truncation: int = 42,
    compression: Compression = "blosc2",
    start: int = 0,
    overwrite: bool = False,
    progress: bool = False,
) -> ArchiveWriter:
    """Writes an archive of `synthetic_fields` on a Gauss grid of n x 2n points.

    Args:
        path: The archive to make.
        num_steps: Number of steps.
        num_rows: Number of latitudes n.
        step_seconds: Time between steps.
        seed: The same seed gives the same archive.
        truncation: Largest degree.
        compression: Filter of the archive.
        start: Time of the first step, seconds since 1970-01-01.
        overwrite: Whether to replace a file that is something else.
        progress: Whether to show a bar (on a terminal).

    Returns:
        The writer, at its end: it knows whether the archive had been there before.

    Raises:
        ArchiveExistsError: If there is another file at `path`, and not `overwrite`.
    """
    grid = make_grid("gauss", num_rows)
    identity = [num_steps, step_seconds, seed, truncation, start]
    writer = ArchiveWriter(
        path,
        channels=(DIVERGENCE, VORTICITY),
        grid=grid,
        compression=compression,
        identity=identity,
        overwrite=overwrite,
        attributes={"source": f"synthetic fields (T{truncation}, seed {seed}); not an atmosphere"},
    )
    fields = synthetic_fields(
        grid, num_steps, step_seconds=step_seconds, seed=seed, truncation=truncation
    )
    with writer:
        if writer.existed:
            return writer
        done = set(writer.written.tolist())
        bar = tqdm(fields, "generate", num_steps, disable=None if progress else True, unit="step")
        for step, field in enumerate(bar):
            seconds = start + step * step_seconds
            if seconds not in done:
                writer.append(seconds, field)
    return writer


def _amplitude(degrees: np.ndarray) -> np.ndarray:
    """Standard deviation of the coefficients: a spectrum that peaks at l_0 and falls off as l⁻¹."""
    power = degrees**2.0 / (1 + (degrees / MEMORY_DEGREE) ** 3.0)
    power[0] = 0.0
    count = np.maximum(2 * degrees + 1, 1)
    return np.asarray(np.sqrt(power / power.sum() / count))


class _Synthesis:
    """Real fields from coefficients (..., degree, order >= 0), by Legendre matrices and an FFT.

    The harmonics have mean square one, so the variance of a field is the sum of the variances of
    its coefficients, the same at every place (it is isotropic).
    """

    def __init__(self, grid: Grid, truncation: int):
        from scipy.special import assoc_legendre_p_all

        sines = np.sin(np.radians(grid.latitude))
        values = assoc_legendre_p_all(truncation, truncation, sines, norm=True)[0]
        # norm=True makes ∫ P² dμ = 1; we want real harmonics whose square has mean one:
        # √2 P for order 0, and √2 P √2 cos, √2 P √2 sin for each pair of orders ±m.
        factor = np.where(np.arange(truncation + 1) == 0, np.sqrt(2), 2.0)
        self._legendre = np.transpose(values[:, : truncation + 1] * factor[:, None])
        self._num_columns = grid.shape[1]

    def __call__(self, coefficients: np.ndarray) -> np.ndarray:
        waves = np.einsum("jml,clm->cjm", self._legendre, coefficients, optimize=True)
        waves[..., 0] = waves[..., 0].real
        spectrum = waves * np.where(np.arange(waves.shape[-1]) == 0, 1.0, 0.5)
        return np.fft.irfft(spectrum, self._num_columns, norm="forward").astype(np.float32)
