"""Packages of networks: a folder to keep, to publish and to load without trust in who made it.

A package holds a network, what it needs to run, a model card, and a manifest that lists the length
and digest of every other file. What is loaded may come from anybody: only the names of its format
are read, only if they are plain files of credible length and as the manifest says, and nothing in
them is run. A folder that a training command made can be read as well, if it has the same files;
its manifest does not list them.
"""

import hashlib
import importlib
import re
import tempfile
import zipfile
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from types import ModuleType
from typing import Any

from atmodist.files.outputs import atomic_path, read_json, write_json

MANIFEST, CARD = "manifest.json", "README.md"
HUB = "hf://"
NETWORK_BYTES = 4 << 30
TEXT_BYTES = 16 << 20

_MEMBERS = re.compile(r"metadata\.json|config\.json|model\.weights\.h5")
_LICENSE = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+-]*")
_ADDRESS = re.compile(r"hf://([A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)(?:@([\w./-]+))?/?")


@dataclass(frozen=True, kw_only=True)
class PackageFormat:
    """What a kind of package consists of.

    Attributes:
        what: What it holds, in a word, for instance "encoder".
        name: Name of the format in the manifest.
        version: Version of the format.
        network: The file of the network.
        required: Further files without which there is no package; the manifest is always one.
        optional: Files that may be there; the model card always may.
        made_by: The command whose folders can be read as well.
        made_anew_by: Commands that mend optional files, by name.
        max_bytes: Length of files that may be longer or must be shorter than `TEXT_BYTES`.
    """

    what: str
    name: str
    version: int
    network: str
    required: tuple[str, ...]
    optional: tuple[str, ...] = ()
    made_by: str
    made_anew_by: Mapping[str, str] = field(default_factory=dict)
    max_bytes: Mapping[str, int]

    @property
    def files(self) -> tuple[str, ...]:
        """Names of all files that a package may have."""
        return (self.network, *self.required, MANIFEST, *self.optional, CARD)

    @contextmanager
    def opened(
        self, path: str | Path, *, unchecked: Collection[str] = ()
    ) -> Iterator[tuple[Path, dict[str, Any]]]:
        """Yields the folder of a package and its manifest, once its files are found sound.

        Args:
            path: The folder; or "hf://user/name", or "hf://user/name@revision", which is fetched.
            unchecked: Optional files that will not be read, and may be missing or damaged.

        Raises:
            FileNotFoundError: If the folder or one of its files is missing.
            ValueError: If a file is damaged, or is not what the manifest says.
            ImportError: If an address is given and `huggingface_hub` is missing.
        """
        if not str(path).startswith(HUB):
            yield Path(path), self._checked(Path(path), str(path), unchecked)
            return
        repository, revision = hub_address(str(path))
        with tempfile.TemporaryDirectory() as folder:
            import_hub().snapshot_download(
                repository, revision=revision, allow_patterns=list(self.files), local_dir=folder
            )
            yield Path(folder), self._checked(Path(folder), str(path), unchecked)

    def save(self, target: str | Path, write: Callable[[Path, str], None]) -> str:
        """Makes a package.

        Args:
            target: The folder to make (one that exists is replaced if it is a package of this
                format), or "hf://user/name" to publish it there.
            write: Fills an empty folder; gets it and the name of the package.

        Returns:
            The target.
        """
        if str(target).startswith(HUB):
            repository, revision = hub_address(str(target))
            with tempfile.TemporaryDirectory() as folder:
                write(Path(folder), repository)
                hub = import_hub()
                hub.create_repo(repository, exist_ok=True)
                hub.upload_folder(
                    repo_id=repository,
                    folder_path=folder,
                    revision=revision,
                    allow_patterns=list(self.files),
                    commit_message=f"{self.what.capitalize()} package",
                )
            return str(target)
        target = Path(target)
        if target.exists() and not self.is_package(target):
            raise ValueError(f"{target} exists and is no {self.what} package; it is left alone")
        with atomic_path(target) as temporary:
            temporary.mkdir()
            write(temporary, target.name)
        return str(target)

    def write_manifest(
        self, folder: Path, names: Iterable[str], entries: Mapping[str, Any]
    ) -> None:
        """Writes the manifest of a package: its format, `entries`, and the files `names`."""
        manifest = {"format": self.name, "version": self.version, **entries}
        manifest["files"] = {name: _measured(folder / name) for name in names}
        write_json(folder / MANIFEST, manifest)

    def update_manifest(
        self, folder: Path, names: Iterable[str], entries: Mapping[str, Any]
    ) -> None:
        """Writes `entries` and the files `names`, which changed, into the manifest of a package."""
        manifest = {**read_json(folder / MANIFEST), **entries}
        changed = {name: _measured(folder / name) for name in names}
        write_json(folder / MANIFEST, {**manifest, "files": {**manifest["files"], **changed}})

    def is_as_listed(self, folder: Path, name: str) -> bool:
        """Whether a file of a package is the one that its manifest describes."""
        listed = read_json(folder / MANIFEST)["files"].get(name)
        return (folder / name).is_file() and _measured(folder / name) == listed

    def is_package(self, folder: Path) -> bool:
        """Whether a folder says that it is a package of this format."""
        try:
            return bool(read_json(folder / MANIFEST).get("format") == self.name)
        except (OSError, ValueError, AttributeError):
            return False

    def _checked(self, folder: Path, shown: str, unchecked: Collection[str]) -> dict[str, Any]:
        """The manifest, after all files have been checked."""
        self._require_files(folder, shown, unchecked)
        manifest = read_json(folder / MANIFEST)
        if not isinstance(manifest, dict):
            raise ValueError(f"{shown}: {MANIFEST} must hold an object; it holds {manifest!r:.40}")
        if "format" in manifest:
            self._check_manifest(folder, manifest, shown, unchecked)
        self._check_network(folder / self.network)
        return manifest

    def _longest(self, name: str) -> int:
        return self.max_bytes.get(name, TEXT_BYTES)

    def _require_files(self, folder: Path, shown: str, unchecked: Collection[str]) -> None:
        if not folder.is_dir():
            raise FileNotFoundError(
                f"there is no folder {shown}; `{self.made_by}` makes one with {_a(self.what)}"
            )
        for name in self.files:
            if name in unchecked:
                continue
            path = folder / name
            if not path.exists() and not path.is_symlink():
                if name in (self.network, *self.required, MANIFEST):
                    raise FileNotFoundError(f"{shown} holds no {self.what}: it lacks {name}")
                continue
            # A link could lead to any file of whoever loads this.
            if path.is_symlink() or not path.is_file():
                raise ValueError(f"{shown}: {name} must be a plain file, neither link nor folder")
            size = path.stat().st_size
            if not 0 < size <= self._longest(name):
                raise ValueError(
                    f"{shown}: {name} has {size} bytes; expected between 1 and "
                    f"{self._longest(name)}"
                )

    def _check_manifest(
        self, folder: Path, manifest: Mapping[str, Any], shown: str, unchecked: Collection[str]
    ) -> None:
        if manifest["format"] != self.name or manifest.get("version") != self.version:
            raise ValueError(
                f"{shown} is of format {manifest['format']!r}, version "
                f"{manifest.get('version')!r}; this release reads {self.name!r}, version "
                f"{self.version}"
            )
        files = manifest.get("files")
        if not isinstance(files, dict):
            raise ValueError(f"{shown}: {MANIFEST} does not list the files of the package")
        strange = sorted(set(files) - set(self.files))
        if strange:
            raise ValueError(
                f"{shown}: {MANIFEST} lists {strange[0]!r}, which is no part of a package"
            )
        for name in (self.network, *self.required, *self.optional):
            if name in unchecked:
                continue
            if name not in files and (folder / name).exists():
                raise ValueError(f"{shown}: {MANIFEST} does not list {name}{self._advice(name)}")
            if name in files and not (folder / name).is_file():
                raise FileNotFoundError(
                    f"{shown} lacks {name}, which {MANIFEST} lists{self._advice(name)}"
                )
            if name in files and _measured(folder / name) != files[name]:
                raise ValueError(
                    f"{shown}: {name} is not the file that {MANIFEST} describes"
                    f"{self._advice(name)}; was it cut, or edited?"
                )

    def _advice(self, name: str) -> str:
        return f" (`{self.made_anew_by[name]}` mends it)" if name in self.made_anew_by else ""

    def _check_network(self, path: Path) -> None:
        """Refuses `.keras` files with members that are no part of a network, or unpack to much."""
        if not zipfile.is_zipfile(path):
            raise ValueError(f"{path} is no network saved by Keras (a .keras file); was it cut?")
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
        strange = [member.filename for member in members if not _MEMBERS.fullmatch(member.filename)]
        if strange:
            raise ValueError(f"{path} holds {strange[0]!r}, which is no part of a network")
        if sum(member.file_size for member in members) > self._longest(self.network):
            raise ValueError(f"{path} unpacks to more than {self._longest(self.network)} bytes")


def import_hub() -> ModuleType:
    """Imports `huggingface_hub`; says how to get it where it is missing."""
    try:
        return importlib.import_module("huggingface_hub")
    except ImportError:
        raise ImportError(
            "addresses that begin with hf:// need huggingface_hub: pip install 'atmodist[hub]'"
        ) from None


def hub_address(address: str) -> tuple[str, str | None]:
    """Repository and revision of an address; raises `ValueError` if it is none."""
    match = _ADDRESS.fullmatch(address)
    if not match or ".." in address:
        raise ValueError(
            f"{address!r} is no address; write hf://user/name, or hf://user/name@revision"
        )
    return match[1], match[2]


def check_license(license: str) -> None:
    """Raises `ValueError` unless it is one word, as the Hugging Face Hub names licenses."""
    if not _LICENSE.fullmatch(license):
        raise ValueError(f"`license` must be an identifier such as apache-2.0; got {license!r}")


def without_folders(content: Any) -> Any:
    """Plain content with file names instead of the paths of whoever ran something."""
    if isinstance(content, Mapping):
        return {without_folders(k): without_folders(v) for k, v in content.items()}
    if isinstance(content, list):
        return [without_folders(value) for value in content]
    if isinstance(content, str) and content.startswith(("/", "~", "./", "../")):
        return PurePosixPath(content).name
    return content


def _measured(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {"bytes": path.stat().st_size, "sha256": digest}


def _a(noun: str) -> str:
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"
