"""A network for CPUs and patches of 32 or 64.

Features stay fine (stride 4), because fields that are hours apart differ by small displacements,
which the head must see before it averages.
"""

from atmodist.pretext.architecture import Architecture, HeadSpec, Recipe, ResidualSpec, Stage

ARCHITECTURE = Architecture(
    about="for CPUs and patches of 32 or 64 grid points; the only one that takes other patches "
    "than multiples of 32",
    spec=ResidualSpec(
        stem_filters=16,
        stem_kernel=5,
        stem_stride=2,
        stages=(
            Stage(filters=16, blocks=1),
            Stage(filters=32, blocks=1, stride=2),
        ),
        smooth_shortcut=True,
        momentum=0.9,
    ),
    head=HeadSpec(
        stages=(
            Stage(filters=64, blocks=1),
            Stage(filters=128, blocks=1, stride=2),
        ),
        relations=("difference", "product"),
        pool=True,
        dense_bias=True,
    ),
    recipe=Recipe(
        optimizer="adamw",
        learning_rate=2e-3,
        schedule="cosine",
        batch_size=64,
        epochs=10,
        weight_decay=5e-2,
        ema=0.998,
        label_spread=0.7,
        mirror=True,
        reverse=True,
    ),
)
