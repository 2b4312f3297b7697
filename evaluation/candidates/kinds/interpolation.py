"""Interpolations of coarse fields, made on the fly: what a generator must beat."""

from evaluation.candidates.kind import Candidate, Kind, Opening, Source
from evaluation.candidates.kinds._restored import restored
from srgan.restoration.interpolation import METHODS, Interpolation


class InterpolationKind(Kind):
    """See the module."""

    usage = f"interpolation:{'|'.join(METHODS)}"
    about = "of block means of the reference, or of --low_archive"

    def check(self, value: str) -> None:
        """There must be such a method."""
        if value not in METHODS:
            raise ValueError(f"there is no interpolation {value!r}; there are {', '.join(METHODS)}")

    def open(self, candidate: Candidate, opening: Opening) -> Source:
        """Takes the factor that was given, or that of the generators."""
        factor = opening.inputs.factor
        if factor is None:
            if len(opening.factors) != 1:
                found = " and ".join(map(str, sorted(opening.factors)))
                raise ValueError(
                    f"candidate {candidate.name} needs a factor, for instance --factor 4"
                    + (f"; the generators have {found}" if found else "")
                )
            (factor,) = opening.factors
        return restored(candidate, Interpolation(candidate.value[0], factor), opening)  # type: ignore[arg-type]


KIND = InterpolationKind()
