"""The content loss under PyTorch: a small network learns to sharpen fields, as the ruler sees them.

Keras runs on PyTorch here, so that the loss is a function of torch tensors with gradients, and the
training loop is your own. The encoder may have been trained under TensorFlow: the file is the same.

    rplearn-train ...                                # or any encoder package
    KERAS_BACKEND=torch python examples/content_loss_torch.py run

Without a folder an untrained encoder stands in, to see that everything works. Needs torch
beside this package; TensorFlow is installed with it, but not imported.
"""

import os
import sys

os.environ.setdefault("KERAS_BACKEND", "torch")

import torch

from atmodist import ContentLoss

STEPS = 30
BATCH, SIZE = 8, 32  # grid points; any multiple of the encoder's stride


def make_loss(folder: str | None) -> ContentLoss:
    """The squared learned distance of normalised fields, with a little of the pixel loss."""
    if folder is not None:
        return ContentLoss.from_package(folder, pixel_weight=0.1)
    from atmodist.pretext.networks import encoder

    return ContentLoss(encoder("resnet-tiny", (SIZE, SIZE, 2)), pixel_weight=0.1)


def blurred(fields: torch.Tensor) -> torch.Tensor:
    """What the network shall undo: (batch, latitude, longitude, channel), as all fields here."""
    channels_first = fields.movedim(-1, 1)
    return torch.nn.functional.avg_pool2d(channels_first, 3, 1, padding=1).movedim(1, -1)


def main(folder: str | None = None) -> list[float]:
    """Trains for a few steps; returns the losses."""
    torch.manual_seed(0)
    loss_function = make_loss(folder)
    channels = loss_function.num_channels
    sharpen = torch.nn.Conv2d(channels, channels, 5, padding=2)
    torch.nn.init.dirac_(sharpen.weight)
    optimizer = torch.optim.Adam(sharpen.parameters(), lr=0.01)
    losses = []
    for step in range(STEPS):
        fields = torch.randn(BATCH, SIZE, SIZE, channels)  # normalised, as networks see them
        restored = sharpen(blurred(fields).movedim(-1, 1)).movedim(1, -1)
        loss = loss_function(fields, restored)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
        if step % 10 == 0 or step == STEPS - 1:
            print(f"step {step:3d}  loss {losses[-1]:.4f}")
    return losses


if __name__ == "__main__":
    main(*sys.argv[1:2])
