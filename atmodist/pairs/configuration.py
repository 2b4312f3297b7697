"""How training samples are made: the settings of the samplers, checked when they are given."""

from dataclasses import dataclass

from atmodist.records.configuration import SamplerConfig


@dataclass(frozen=True, kw_only=True)
class PairSamplerConfig(SamplerConfig):
    """Draws pairs of patches from an archive and writes them as TFRecord shards."""

    dataset: str = "atmodist_pairs"
    """Name of the dataset; lower-case letters, digits and underscores."""
    patches_per_step: int | None = None
    """Pairs drawn from each time step; null for as many as give 20,000 in all, but at least 20, and
    no more than overlap eight times."""
    max_temporal_distance: int = 23
    """The largest label, in archive time steps."""
    gap: int | None = None
    """Time steps between training and evaluation; max_temporal_distance unless given."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.max_temporal_distance <= 0:
            raise ValueError(
                f"max_temporal_distance must be positive; got {self.max_temporal_distance}"
            )
        if self.gap is not None and self.gap < self.max_temporal_distance:
            raise ValueError(
                f"gap must be at least max_temporal_distance = {self.max_temporal_distance}, lest "
                f"training and evaluation share fields; got {self.gap}"
            )
