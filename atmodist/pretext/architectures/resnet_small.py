"""The network of AtmoDist, with the reference implementation's training.

Its parameter count fixes what the papers leave open: the 3×3 convolutions have no bias (those of
the head do), the 8×8 stem has one, and a shortcut that changes the number of channels is a bare 1×1
convolution (no bias, no batch normalisation).
"""

from atmodist.pretext.architecture import Architecture, Recipe, ResidualSpec, Stage

ARCHITECTURE = Architecture(
    about="the network of AtmoDist",
    spec=ResidualSpec(
        stem_filters=16,
        stem_kernel=8,
        stem_stride=2,
        stem_bias=True,
        stem_pool=True,
        stages=(
            Stage(filters=16, blocks=6),
            Stage(filters=32, blocks=6, stride=2),
            Stage(filters=64, blocks=6, stride=2),
            Stage(filters=128, blocks=6, stride=2),
        ),
        l2=1e-4,
    ),
    recipe=Recipe(
        optimizer="sgd",  # without weight decay: L2 is part of the network's loss
        learning_rate=0.1,
        schedule="plateau",
        batch_size=128,
        epochs=60,
        warmup_epochs=20,
        warmup_batches=2000,
    ),
)
