"""Upload a model directory to ModelScope's hub or Hugging Face's.

parcel = Parcel.of("work_dir/quickstart/best", card)
upload(parcel, "me/pirate", HUBS["huggingface"](token))

The files are first collected in a folder next to the model directory. If the hub fails, the folder stays there with the
client's notes about partly sent files, so that the next call continues; hashes tell which files have arrived.
"""

from __future__ import annotations

import getpass
import hashlib
import os
import re
import shutil
import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from ofakit.errors import OfakitError, UsageError
from ofakit.files import link_or_copy, replace_file, saving
from ofakit.input_files import refuse_odd_files

__all__ = [
    "HUBS",
    "Hub",
    "HuggingFaceHub",
    "ModelScopeHub",
    "Parcel",
    "UploadFailed",
    "check_name",
    "token_of",
    "upload",
]

CARD = "README.md"
PICKLED, SAFE = "pytorch_model.bin", "model.safetensors"
MODEL_FILES = ("config.json", "configuration.json", "modules.json")
NAME = re.compile(r"[A-Za-z0-9_][\w.-]*/[A-Za-z0-9_][\w.-]*", re.ASCII)
MESSAGE = "Upload a model with ofakit"
IMAGE_SIDE = 512


class UploadFailed(OfakitError):
    """A hub refused or the upload broke off; the message says which files have arrived and which are missing."""


class Hub(ABC):
    """A hub, through its client.

    Args:
        token: Token of an account that may write.
        endpoint: Address of the hub; None for the client's default.
    """

    title: ClassVar[str]
    variable: ClassVar[str]

    def __init__(self, token: str, endpoint: str | None = None) -> None:
        self.token = token
        self.endpoint = endpoint

    @abstractmethod
    def create(self, name: str, private: bool) -> None:
        """Create a repository if it does not exist.

        Args:
            name: owner/name.
            private: Whether a new repository is hidden from others; an existing one is not changed.
        """

    @abstractmethod
    def send(self, name: str, folder: Path) -> None:
        """Send every file of a folder.

        Args:
            name: owner/name.
            folder: The folder.
        """

    @abstractmethod
    def hashes(self, name: str) -> Mapping[str, str]:
        """The files of a repository, each with its SHA-256 or its git hash.

        Args:
            name: owner/name.
        """


class HuggingFaceHub(Hub):
    """Hugging Face's hub, through `huggingface_hub`: one commit, with the large files sent beforehand."""

    title = "Hugging Face"
    variable = "HF_TOKEN"

    def create(self, name: str, private: bool) -> None:
        """See `Hub`."""
        self._client().create_repo(name, private=private, exist_ok=True)

    def send(self, name: str, folder: Path) -> None:
        """See `Hub`."""
        self._client().upload_folder(repo_id=name, folder_path=folder, commit_message=MESSAGE)

    def hashes(self, name: str) -> Mapping[str, str]:
        """See `Hub`."""
        from huggingface_hub.hf_api import RepoFile

        files = [file for file in self._client().list_repo_tree(name, recursive=True) if isinstance(file, RepoFile)]
        return {file.path: file.lfs.sha256 if file.lfs else file.blob_id for file in files}

    def _client(self) -> Any:
        from huggingface_hub import HfApi

        return HfApi(endpoint=self.endpoint, token=self.token)


class ModelScopeHub(Hub):
    """ModelScope's hub, through `HubApi`: several commits, and a record in the folder of the files sent."""

    title = "ModelScope"
    variable = "MODELSCOPE_API_TOKEN"

    def create(self, name: str, private: bool) -> None:
        """See `Hub`."""
        visibility = "private" if private else "public"
        self._client().create_repo(name, token=self.token, visibility=visibility, exist_ok=True)

    def send(self, name: str, folder: Path) -> None:
        """See `Hub`."""
        self._client().upload_folder(repo_id=name, folder_path=folder, token=self.token, commit_message=MESSAGE)

    def hashes(self, name: str) -> Mapping[str, str]:
        """See `Hub`."""
        from modelscope_hub.api import HubApi

        files = HubApi(token=self.token, endpoint=self.endpoint).list_repo_files(name, "model")
        return {file.path: file.sha256 or "" for file in files}

    def _client(self) -> Any:
        from modelscope.hub.api import HubApi

        return HubApi(endpoint=self.endpoint, token=self.token)


HUBS: dict[str, type[Hub]] = {"modelscope": ModelScopeHub, "huggingface": HuggingFaceHub}


@dataclass(frozen=True)
class Parcel:
    """The files to upload.

    Attributes:
        folder: The model directory.
        files: Files of the model directory, by their name in the repository.
        card: The text of README.md; not sent if the directory has a README.md of its own.
        images: Images of the card, by their name in the repository; sent in a small size and without camera metadata.
    """

    folder: Path
    files: Mapping[str, Path]
    card: str
    images: Mapping[str, Path] = field(default_factory=dict)

    @classmethod
    def of(cls, folder: str | Path, card: str, images: Mapping[str, Path] | None = None) -> Parcel:
        """All files of a model directory except hidden ones.

        Args:
            folder: The model directory.
            card: The model card.
            images: Images of the card, by their name in the repository.

        Raises:
            UsageError: It is not a model directory.
        """
        folder = Path(folder).expanduser()
        refuse_odd_files(folder)
        if not any((folder / name).is_file() for name in MODEL_FILES):
            inner = next((name for name in ("best", "output") if (folder / name / MODEL_FILES[0]).is_file()), None)
            cure = f"; name {folder / inner}" if inner else ""
            raise UsageError(f"--model: expected a model directory, with a config.json, found {folder}{cure}")
        found = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
        seen = {name: path for name, path in found.items() if not any(p.startswith(".") for p in name.split("/"))}
        return cls(folder, seen, card, images or {})

    @property
    def makes_safetensors(self) -> bool:
        """Whether weights are sent as safetensors in addition to a pickle, for users who do not load pickles."""
        return PICKLED in self.files and not any(name.endswith(".safetensors") for name in self.files)

    @property
    def names(self) -> list[str]:
        """The files of the repository, sorted."""
        return sorted({*self.files, CARD, *self.images, *([SAFE] if self.makes_safetensors else [])})

    @property
    def text(self) -> str:
        """The text of README.md: the directory's own, if it has one."""
        own = self.files.get(CARD)
        return self.card if own is None else own.read_text(encoding="utf-8", errors="replace")

    def lay_out(self, target: Path) -> None:
        """Fill a folder with the files to upload; files left by an earlier call are brought up to date.

        Args:
            target: The folder.

        Raises:
            SaveError: Writing failed.
            UsageError: The weights cannot be read.
        """
        with saving(target):
            target.mkdir(exist_ok=True)
            for path in [path for path in target.rglob("*") if path.is_file()]:
                name = path.relative_to(target).as_posix()
                if name not in self.names and not name.startswith("."):
                    path.unlink()
            for name, path in self.files.items():
                _place(path, target / name)
            for name, path in self.images.items():
                _small_image(path, target / name)
            if CARD not in self.files:
                _write_if_new(target / CARD, self.card)
            if self.makes_safetensors:
                _write_safetensors(self.files[PICKLED], target / SAFE)


def token_of(hub: type[Hub], ask: bool = True) -> str:
    """The token of a hub: from its environment variable, otherwise asked for at the terminal if there is one.

    Args:
        hub: The hub.
        ask: Whether to ask for it.

    Raises:
        UsageError: There is no token, or it is not valid.
    """
    token = os.environ.get(hub.variable, "").strip()
    if not token and ask and sys.stdin is not None and sys.stdin.isatty():
        token = getpass.getpass(f"Token for {hub.title} (not shown as you type): ").strip()
    if not token:
        raise UsageError(f"expected the token for {hub.title} in the environment variable {hub.variable}, found none")
    if not token.isascii() or not token.isprintable() or " " in token:
        raise UsageError(f"{hub.variable}: expected a token, found spaces or unusual characters in it")
    return token


def check_name(name: str, key: str = "--id") -> str:
    """Check the name of a repository.

    Args:
        name: As given.
        key: The argument or key that it comes from, for the message.

    Raises:
        UsageError: It is not of the form owner/name.
    """
    if not NAME.fullmatch(name):
        raise UsageError(f"{key}: expected owner/name in letters, digits, '.', '_' and '-', found {name[:200]!r}")
    return name


def upload(parcel: Parcel, name: str, hub: Hub, private: bool = False) -> None:
    """Send a parcel; continue if an earlier call was cut off.

    Args:
        parcel: The files to upload.
        name: owner/name; the repository is created if it does not exist.
        hub: The hub to upload to.
        private: Whether a new repository is private.

    Raises:
        UploadFailed: The hub refused, or the upload broke off.
        SaveError: There is no room to collect the files.
        UsageError: The name is not valid, or the weights cannot be read.
    """
    check_name(name)
    folder = parcel.folder.resolve()
    laid_out = folder.parent / f".{folder.name}.upload"
    parcel.lay_out(laid_out)
    try:
        hub.create(name, private)
        hub.send(name, laid_out)
    except ImportError as error:
        shutil.rmtree(laid_out)
        raise UsageError(f"{hub.title} needs the package {error.name}: pip install {error.name}") from None
    except Exception as error:  # hubs, their clients and the network fail in many ways
        said = _without(hub.token, " ".join(str(error).split()) or type(error).__name__)[:300].rstrip(". ")
        state = _state(parcel, name, hub, laid_out)
        raise UploadFailed(f"{hub.title} failed: {said}. {state}. Run the same command again to continue") from None
    shutil.rmtree(laid_out)


def _state(parcel: Parcel, name: str, hub: Hub, laid_out: Path) -> str:
    """A sentence on which files have arrived and which have not."""
    try:
        there = hub.hashes(name)
    except Exception:  # the hub that failed is asked once more, and may fail again
        return f"The present contents of {name} are unknown, since the hub does not respond"
    arrived = [file for file in parcel.names if there.get(file) in _hashes(laid_out / file)]
    missing = [file for file in parcel.names if file not in arrived]
    return f"{name} has {', '.join(arrived) or 'none of the files'}; missing: {', '.join(missing) or 'nothing'}"


def _hashes(path: Path) -> tuple[str, str]:
    """The SHA-256 of a file and its git hash."""
    whole, git = hashlib.sha256(), hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            whole.update(block)
            git.update(block)
    return whole.hexdigest(), git.hexdigest()


def _without(token: str, text: str) -> str:
    return text.replace(token, "(token)")


def _place(source: Path, target: Path) -> None:
    """Place a file under another name with a hard link, or a copy if the file system has no links."""
    source = source.resolve()
    if target.exists() and os.path.samefile(source, target):
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    link_or_copy(source, target)


def _write_if_new(path: Path, text: str) -> None:
    content = text.encode("utf-8", "replace")
    if not path.exists() or path.read_bytes() != content:
        path.unlink(missing_ok=True)
        path.write_bytes(content)


def _small_image(source: Path, target: Path) -> None:
    from PIL import Image, ImageOps

    target.parent.mkdir(parents=True, exist_ok=True)
    with Image.open(source) as image:
        upright = ImageOps.exif_transpose(image).convert("RGB")
    upright.thumbnail((IMAGE_SIDE, IMAGE_SIDE))
    bare = Image.new("RGB", upright.size)
    bare.paste(upright)
    bare.save(target)


def _write_safetensors(source: Path, target: Path) -> None:
    """Write the weights of a pickle as safetensors, where tensors cannot be shared: every name has its own copy."""
    if target.exists() and target.stat().st_mtime >= source.stat().st_mtime:
        return
    from safetensors.torch import save_file

    from ofakit.models.ofa.checkpoints import load_state_dict_file

    weights = {name: value.detach().clone().contiguous() for name, value in load_state_dict_file(source).items()}
    with replace_file(target) as new:
        save_file(weights, new, metadata={"format": "pt"})
