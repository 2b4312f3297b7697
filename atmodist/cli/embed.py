"""`atmodist embed`: features of every field of an archive."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from atmodist.cli.common import command_parser, run_command
from atmodist.files.quiet_tensorflow import load_tensorflow

HUB = "hf://"


@dataclass(frozen=True, kw_only=True)
class EmbedConfig:
    """Writes what a trained encoder makes of every field of an archive."""

    archive: str = field(metadata={"help": "The archive."})
    metric: str
    """Encoder package, hf:// address, or folder of rplearn-train."""
    output: str = "embedding.h5"
    """The HDF5 file to make, or Zarr store if it ends in .zarr; one that this command made is
    replaced, and nothing else."""
    stages: list[str] | None = None
    """Stages of the encoder, such as [stage3,stage4]; all by default."""
    content: Literal["pooled", "maps"] = "pooled"
    """pooled: mean and standard deviation over the globe of each feature; maps: all of them."""
    start: str | None = None
    """First time, for instance 2018-10-06; the archive's first by default."""
    end: str | None = None
    """Last time; the archive's last by default."""

    def __post_init__(self) -> None:
        if Path(self.output).exists() and Path(self.output).samefile(self.archive):
            raise ValueError(f"output would replace the archive {self.archive}")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command."""
    parser = command_parser("atmodist embed", EmbedConfig, positional="archive")
    return run_command(parser, EmbedConfig, argv, _embed)


def _embed(config: EmbedConfig) -> str:
    from atmodist.embedding.output import require_replaceable
    from atmodist.fields.archive import Archive
    from atmodist.files.outputs import manifest_path, write_manifest

    if not config.metric.startswith(HUB) and not (Path(config.metric) / "encoder.keras").is_file():
        raise ValueError(
            f"{config.metric} holds no encoder.keras; name a folder of rplearn-train, or a package"
        )
    require_replaceable(config.output)
    with Archive(config.archive) as archive:
        steps = archive.time.select(config.start, config.end)
        load_tensorflow()
        from atmodist.embedding.embed import embed_archive
        from atmodist.metric.package import load_package
        from atmodist.metric.weights import weights_digest

        package = load_package(config.metric, calibrated=False)
        output = embed_archive(
            archive,
            package.features(),
            config.output,
            stages=config.stages,
            content=config.content,
            steps=steps,
            attributes={"encoder": str(config.metric)},
            progress=True,
        )
    write_manifest(
        manifest_path(output),
        command="atmodist embed",
        config=config,
        inputs=[config.archive],
        weights=weights_digest(package.encoder),
    )
    files = output.rglob("*") if output.is_dir() else [output]
    size = sum(file.stat().st_size for file in files) / 1e6
    opened = f"open_zarr('{output}')"
    if not output.is_dir():
        opened = f"open_dataset('{output}', engine='h5netcdf')"
    return (
        f"{len(steps)} fields, {config.content} features, {size:.1f} MB in {output}\n"
        f"Next: xarray.{opened}, or atmodist.embedding.probes"
    )
