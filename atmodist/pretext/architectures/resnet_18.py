"""The network of 18 layers of He et al. (2016), trained as `resnet-small`, whose L2 it shares."""

from atmodist.pretext.architecture import Architecture, ResidualSpec, Stage
from atmodist.pretext.architectures import resnet_small

ARCHITECTURE = Architecture(
    about="that of He et al. (2016)",
    spec=ResidualSpec(
        stem_filters=64,
        stem_kernel=7,
        stem_stride=2,
        stem_pool=True,
        stages=(
            Stage(filters=64, blocks=2),
            Stage(filters=128, blocks=2, stride=2),
            Stage(filters=256, blocks=2, stride=2),
            Stage(filters=512, blocks=2, stride=2),
        ),
        normalized_shortcut=True,
        l2=1e-4,
    ),
    recipe=resnet_small.ARCHITECTURE.recipe,
)
