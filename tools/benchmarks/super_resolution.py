"""Super-resolution training: images per second beside the same networks in PyTorch.

    python tools/benchmarks/super_resolution.py --torch_python /path/to/an/environment/bin/python

Two kinds of steps, on 96x96 patches of 2 channels, 4 times finer than their coarse fields:

- `pretraining`: the generator alone, mean squared error, Adam
- `adversarial`: one full iteration, both networks moved once from the same forward passes; mean
  squared error as content, the reference's discriminator (with its dense layer over the patch)

`ours` is what `phire-train` runs (with its running average of weights), `torch` the same in
PyTorch, channels last, both gradients from the same passes too; `before` is the step of another
working tree of this project (--before), `jax` ours under JAX (--jax). Contenders take turns, one
step each, so that a noisy machine is unfair to none; the first steps are not counted. PyTorch runs
in a process of its own, on the same number of threads. Where other work shares the cores, use
--threads 1, and look at the time of processors.
"""

import argparse
import json
import os
import statistics
import sys
from pathlib import Path
from typing import Any

from common import Step, Worker, machine, of_this_project, serve, take_turns, timed
from training import limit_threads

KINDS = ("pretraining", "adversarial")
EXTENT, FACTOR, CHANNELS = 96, 4, 2
GENERATOR_PARAMETERS, DISCRIMINATOR_PARAMETERS = 1_534_850, 10_611_201


def main() -> None:
    """Runs the contenders and prints a table, and JSON for the record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch_sizes", type=int, nargs="+", default=[16, 64])
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--warmup", type=int, default=2)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--torch_python", default=sys.executable, help="Python that has torch")
    parser.add_argument("--jax", action="store_true", help="also under JAX")
    parser.add_argument("--before", type=Path, help="another tree of this project to compare with")
    parser.add_argument("--worker", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--torch_worker", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if options.worker:
        kind, batch_size = options.worker
        serve(our_step(kind, int(batch_size), options.threads))
        return
    if options.torch_worker:
        kind, batch_size = options.torch_worker
        serve(torch_step(kind, int(batch_size), options.threads))
        return
    print(machine())
    results = [
        measure(kind, batch_size, options) for batch_size in options.batch_sizes for kind in KINDS
    ]
    print(json.dumps({"threads": options.threads, "results": results}))


def measure(kind: str, batch_size: int, options: argparse.Namespace) -> dict[str, Any]:
    """Lets the contenders take turns at one kind of step and one batch size."""
    steps = {"ours": our_step(kind, batch_size, options.threads)}
    arguments = [kind, batch_size, "--threads", options.threads]
    command = ["--worker", *arguments]
    steps |= of_this_project(__file__, command, before=options.before, jax=options.jax)
    try:
        steps["torch"] = Worker([options.torch_python, __file__, "--torch_worker", *arguments])
    except RuntimeError:
        print("no PyTorch to compare with; name a Python that has it by --torch_python")
    times = take_turns(steps, warmup=options.warmup, repeats=options.repeats)
    seconds, processors = ({n: [t[k] for t in v] for n, v in times.items()} for k in (0, 1))
    report: dict[str, Any] = {"kind": kind, "batch_size": batch_size}
    print(f"{kind}, batch {batch_size}, {options.repeats} steps each, {options.threads} threads")
    for name, values in seconds.items():
        middle = statistics.median(values)
        report[name] = {
            "seconds": round(middle, 3),
            "spread": [round(min(values), 3), round(max(values), 3)],
            "processor_seconds": round(statistics.median(processors[name]), 3),
            "images_per_second": round(batch_size / middle, 2),
        }
        line = f"  {name:<6} {middle:6.3f} s ({min(values):.3f} to {max(values):.3f})"
        line += f", {report[name]['processor_seconds']:6.3f} s of processors"
        line += f", {batch_size / middle:6.2f} images/s"
        for other in ("torch", "before"):
            if other not in seconds or name == other:
                continue
            ratios = []
            for key, taken in (("speed", seconds), ("processor", processors)):
                pairs = zip(taken[other], taken[name], strict=True)
                ratios.append(statistics.median(t / s for t, s in pairs))
                report[name][f"{key}_against_{other}"] = round(ratios[-1], 2)
            line += (
                f"; {ratios[0]:.2f} times {other} turn by turn ({ratios[1]:.2f} by processor time)"
            )
        print(line, flush=True)
    return report


def our_step(kind: str, batch_size: int, threads: int) -> Step:
    """Returns a step of `phire-train`."""
    import keras
    import numpy as np

    from atmodist.training.phases import Phase
    from srgan.losses.combination import make_content_loss
    from srgan.networks.discriminator import discriminator
    from srgan.networks.generator import generator
    from srgan.training.configuration import GeneratorTrainingConfig
    from srgan.training.losses import Losses
    from srgan.training.step import GeneratorTraining

    limit_threads(threads)
    config = GeneratorTrainingConfig(
        records=Path("unused"), batch_size=batch_size, balance=(0.0, 1e9)
    ).resolved()
    content = make_content_loss("mse")
    trained = GeneratorTraining(
        generator(CHANNELS, FACTOR),
        discriminator(CHANNELS, (EXTENT, EXTENT), head="flatten"),
        Losses(pretraining=content, content=content),
        config,
    )
    require(trained.trained.count_params(), trained.discriminator.count_params())
    trained.begin(Phase(name=kind, epochs=1, steps_per_epoch=1))
    rng, low = np.random.default_rng(0), EXTENT // FACTOR

    def normal(*shape: int) -> Any:
        return keras.ops.convert_to_tensor(rng.standard_normal(shape), "float32")

    inputs = {"low": normal(batch_size, low, low, CHANNELS)}
    targets = {
        "high": normal(batch_size, EXTENT, EXTENT, CHANNELS),
        "row_weights": keras.ops.ones((batch_size, EXTENT)),
    }

    def step() -> None:
        trained.step(inputs, targets, number=0, learning_rate=1e-5)
        trained.losses()  # waits for the end of the step

    return timed(step)


def require(generator: int, discriminator: int) -> None:
    """Raises an error unless the networks are the reference's."""
    found, expected = (generator, discriminator), (GENERATOR_PARAMETERS, DISCRIMINATOR_PARAMETERS)
    if found != expected:
        raise RuntimeError(f"the networks have {found} parameters, not {expected}")


def torch_step(kind: str, batch_size: int, threads: int) -> Step:
    """Builds the same networks in PyTorch and returns a step of theirs."""
    import torch
    from torch import nn
    from torch.nn import functional

    torch.set_num_threads(threads)
    torch.manual_seed(0)

    def activation() -> nn.Module:
        return nn.LeakyReLU(0.2, inplace=True)

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Sequential(
                nn.Conv2d(64, 64, 3, padding=1), activation(), nn.Conv2d(64, 64, 3, padding=1)
            )

        def forward(self, x: Any) -> Any:
            return x + self.body(x)

    class Generator(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem = nn.Sequential(nn.Conv2d(CHANNELS, 64, 9, padding=4), activation())
            blocks = [Block() for _ in range(16)]
            self.body = nn.Sequential(*blocks, nn.Conv2d(64, 64, 3, padding=1))
            steps: list[nn.Module] = []
            for _ in range(2):
                steps += [nn.Conv2d(64, 256, 3, padding=1), nn.PixelShuffle(2), activation()]
            self.rise = nn.Sequential(*steps, nn.Conv2d(64, CHANNELS, 9, padding=4))

        def forward(self, x: Any) -> Any:
            x = self.stem(x)
            return self.rise(x + self.body(x))

    class Strided(nn.Module):
        """A convolution of stride 2 after padding as "same" does for even extents."""

        def __init__(self, inputs: int, filters: int):
            super().__init__()
            self.convolution = nn.Conv2d(inputs, filters, 3, 2)

        def forward(self, x: Any) -> Any:
            return self.convolution(functional.pad(x, (0, 1, 0, 1)))

    layers: list[nn.Module] = []
    inputs = CHANNELS
    for number, filters in enumerate((32, 32, 64, 64, 128, 128, 256, 256)):
        plain = nn.Conv2d(inputs, filters, 3, padding=1)
        layers += [Strided(inputs, filters) if number % 2 else plain, activation()]
        inputs = filters
    layers += [nn.Flatten(), nn.Linear(256 * (EXTENT // 16) ** 2, 1024), activation()]
    critic = nn.Sequential(*layers, nn.Linear(1024, 1)).to(memory_format=torch.channels_last)
    network = Generator().to(memory_format=torch.channels_last)
    require(*(sum(p.numel() for p in model.parameters()) for model in (network, critic)))
    own, others = list(network.parameters()), list(critic.parameters())
    optimizer, critic_optimizer = (
        torch.optim.Adam(p, 1e-5, betas=(0.9, 0.999)) for p in (own, others)
    )
    low = torch.randn(batch_size, CHANNELS, EXTENT // FACTOR, EXTENT // FACTOR)
    high = torch.randn(batch_size, CHANNELS, EXTENT, EXTENT)
    low, high = (x.to(memory_format=torch.channels_last) for x in (low, high))

    def pretraining() -> Any:
        optimizer.zero_grad()
        loss = functional.mse_loss(network(low), high)
        loss.backward()
        optimizer.step()
        return loss

    def adversarial() -> Any:
        generated = network(low)
        true_logits, logits = critic(high), critic(generated)
        softplus = functional.softplus
        critic_loss = 0.5 * (softplus(-true_logits).mean() + softplus(logits).mean())
        loss = functional.mse_loss(generated, high) + 1e-3 * softplus(-logits).mean()
        gradients = torch.autograd.grad(loss, own, retain_graph=True)
        critic_gradients = torch.autograd.grad(critic_loss, others)
        for parameters, found in ((own, gradients), (others, critic_gradients)):
            for parameter, gradient in zip(parameters, found, strict=True):
                parameter.grad = gradient
        optimizer.step()
        critic_optimizer.step()
        return loss

    take = {"pretraining": pretraining, "adversarial": adversarial}[kind]
    return timed(lambda: take().item())


if __name__ == "__main__":
    main()
