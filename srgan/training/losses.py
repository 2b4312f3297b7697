"""What is wrong with generated fields in each phase, the discriminator's opinion apart."""

import sys
from dataclasses import dataclass
from typing import Any

from srgan.losses.combination import ContentTerm, make_content_loss
from srgan.losses.consistency import ConsistencyPenalty
from srgan.losses.content import CONTENT_LOSSES
from srgan.training.configuration import GeneratorTrainingConfig
from srgan.training.source import PatchSource

PRETRAINING, ADVERSARIAL = "pretraining", "adversarial"


@dataclass(frozen=True, kw_only=True)
class Losses:
    """What is wrong with generated fields, the discriminator's opinion apart.

    Attributes:
        pretraining: Parts of the loss of the first phase.
        content: Parts of that of the second.
        penalty: For block means that differ from the coarse field; None for none.
    """

    pretraining: tuple[ContentTerm, ...]
    content: tuple[ContentTerm, ...]
    penalty: ConsistencyPenalty | None = None

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of all parts, each once."""
        return tuple(dict.fromkeys(term.name for term in (*self.content, *self.pretraining)))

    @property
    def provenance(self) -> dict[str, str]:
        """Identities of the networks that parts compare features by, by name of the part."""
        terms = {term.name: term.loss for term in (*self.content, *self.pretraining)}
        return {name: loss.identity for name, loss in terms.items() if hasattr(loss, "identity")}

    @property
    def uncalibrated(self) -> tuple[str, ...]:
        """Names of the parts that compare features and lack the α of a calibration."""
        terms = {term.name: term.loss for term in (*self.content, *self.pretraining)}
        return tuple(n for n, loss in terms.items() if not getattr(loss, "scales", {"any": 1.0}))

    def of_phase(self, phase: str) -> tuple[ContentTerm, ...]:
        """The parts of a phase."""
        return self.pretraining if phase == PRETRAINING else self.content


def make_losses(config: GeneratorTrainingConfig, source: PatchSource) -> Losses:
    """Makes what is wrong with generated fields."""

    def terms(text: str) -> Any:
        return make_content_loss(text, normalization=source.normalization, **config.content_options)

    pretraining = terms(config.pretraining_loss)
    same = config.content == config.pretraining_loss
    content = pretraining if same else terms(config.content)
    if config.consistency != "none":
        _require_block_means(config, source)
    penalty = None
    if config.consistency == "penalty":
        penalty = ConsistencyPenalty(factor=source.patches.factor, normalization=source.means_in)
    return Losses(pretraining=pretraining, content=content, penalty=penalty)


def tell_uncalibrated(config: GeneratorTrainingConfig, losses: Losses) -> None:
    """Notes on stderr which encoders have not been calibrated, so that their α is one."""
    for name in losses.uncalibrated:
        network = str(CONTENT_LOSSES[name].network)
        folder = config.content_options[network]
        print(
            f"phire-train: note: the {network} in {folder} is not calibrated, so that the "
            f"scale of the {name} loss is arbitrary; run `atmodist calibrate {folder}` first, or "
            "choose its weight",
            file=sys.stderr,
        )


def _require_block_means(config: GeneratorTrainingConfig, source: PatchSource) -> None:
    patches = source.patches
    if patches.alignment != "centred":
        raise ValueError(
            f"consistency={config.consistency!r} is about block means, but the coarse grid of "
            f"{config.records} shares its points with the fine one; use consistency=none."
        )
    if patches.degradation != "normalized" and source.normalization is None:
        raise ValueError(
            f"consistency={config.consistency!r} needs the normalization.json of {config.records}."
        )
    if patches.degradation == "archive" and config.consistency == "projection":
        raise ValueError(
            f"consistency='projection' needs coarse fields that are block means; those of "
            f"{config.records} are of another archive. Use consistency=penalty or none."
        )
