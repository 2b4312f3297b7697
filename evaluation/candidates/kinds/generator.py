"""Trained generators of super-resolution, run on the fly."""

from evaluation.candidates.kind import Candidate, Kind, Opening, Source
from evaluation.candidates.kinds._restored import restored
from srgan.restoration.restoration import Restoration


class GeneratorKind(Kind):
    """See the module."""

    usage = "generator:RUN"
    about = "a folder of phire-train, a package or hf://user/name, run on what --low_archive says"
    has_networks = True

    def factor(self, candidate: Candidate, opening: Opening) -> int:
        """That of its training."""
        return self._loaded(candidate, opening).factor

    def open(self, candidate: Candidate, opening: Opening) -> Source:
        """Begins from block means of the reference, or the low-resolution file that was given."""
        return restored(candidate, self._loaded(candidate, opening), opening)

    def _loaded(self, candidate: Candidate, opening: Opening) -> Restoration:
        if candidate.name not in opening.kept:
            opening.kept[candidate.name] = _load(candidate, opening)
        found: Restoration = opening.kept[candidate.name]
        return found


def _load(candidate: Candidate, opening: Opening) -> Restoration:
    from srgan.generators.package import load_generator

    try:
        generator = load_generator(candidate.value[0], factor=opening.inputs.factor)
    except FileNotFoundError as error:
        raise FileNotFoundError(f"candidate {candidate.name}: {error}") from None
    except (ValueError, ImportError) as error:
        raise ValueError(f"candidate {candidate.name}: {error}") from None
    channels = tuple(channel.name for channel in opening.reference.series.channels)
    if generator.channels not in (None, channels):
        raise ValueError(
            f"candidate {candidate.name}: the generator has the channels "
            f"{', '.join(generator.channels or ())}, and the reference {', '.join(channels)}"
        )
    return generator


KIND = GeneratorKind()
