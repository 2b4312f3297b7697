"""Fields made on the fly from coarse ones: what generators and interpolations have in common.

They see nothing of the reference but its block means, or a file of low resolution.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from atmodist.ingestion.sources import file_fingerprint
from evaluation.candidates.fields import Fields
from evaluation.candidates.kind import Candidate, Opening
from srgan.restoration.coarse import CoarseFields
from srgan.restoration.restoration import Restoration


@dataclass(frozen=True)
class RestoredFields:
    """A candidate made on the fly from fields of low resolution.

    Attributes:
        coarse: What it begins from, and the generator or interpolation.
        begins: The reference, whose block means are taken, or fields of low resolution.
        num_members: Of a stochastic generator.
        seed: Of its noise.
        about: What it is, in words.
    """

    coarse: CoarseFields
    begins: Fields
    num_members: int
    seed: int
    about: str

    @property
    def seconds(self) -> np.ndarray:
        """Times of what it begins from."""
        return self.begins.time.seconds

    @cached_property
    def identity(self) -> dict[str, Any]:
        """The generator, and what it begins from."""
        restoration, path = self.coarse.restoration, self.begins.series.path
        return {
            "restoration": restoration.identity or restoration.name,
            "factor": restoration.factor,
            "low": "block means" if self.coarse.are_means else file_fingerprint(path),
            "noise": [self.seed, self.num_members] if restoration.is_stochastic else None,
        }

    def read(self, second: int) -> Iterator[np.ndarray]:
        """Makes the members one by one."""
        coarse, step = self.coarse, self.begins.step(second)
        low = coarse.of(self.begins.read(second))
        for member in range(self.num_members):
            yield coarse.restoration.field(
                low, coarse.refinement, seed=self.seed, member=member, step=step
            )


def restored(candidate: Candidate, restoration: Restoration, opening: Opening) -> RestoredFields:
    """A candidate made by a restoration, from what `--low_archive` says."""
    high, path, inputs = opening.reference.series.grid, opening.inputs.low_archive, opening.inputs
    begins = opening.reference if path is None else opening.fields(path, candidate)
    try:
        if path is None:
            coarse = CoarseFields.means(restoration, high, "give --low_archive")
        else:
            coarse = CoarseFields.read(restoration, begins.series.grid, high)
    except ValueError as error:
        raise ValueError(f"candidate {candidate.name}: {error}") from None
    opening.notes.extend(f"{candidate.name}: {concern}" for concern in coarse.concerns)
    begun = f"block means over {restoration.factor} x {restoration.factor} points"
    return RestoredFields(
        coarse, begins, inputs.members if restoration.is_stochastic else 1, inputs.seed,
        about=f"{candidate.value[0]} from {path or begun}",
    )  # fmt: skip
