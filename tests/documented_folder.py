"""What stands, in small, at the names that commands and Python of README and docs use: data, models, runs, files.

A page has a folder of its own, since two pages may mean different things by one name. What is there is made once a
session, when a page first needs it, and lies in the folder as a link or, where a command writes into it, as a copy.
"""

from __future__ import annotations

import contextlib
import io
import json
import shutil
import tarfile
from collections.abc import Callable
from functools import cached_property
from pathlib import Path

import numpy as np
from ofakit.cli import finetune

from tests.documented import ROOT

NETWORK = {
    "d_model": 64, "encoder_layers": 1, "decoder_layers": 1, "encoder_ffn_dim": 32, "decoder_ffn_dim": 32,
    "resnet_type": "resnet18",
}  # fmt: skip
SMALL_CAPTIONER = {
    "data.reader.images": 4, "data.reader.val": 4, "data.reader.test": 4, "data.reader.size": 32,
    "preprocessor.patch_image_size": 32, "train.max_steps": 4, "train.dataloader.batch_size_per_gpu": 8,
    "generation.max_length": 6, "generation.num_beams": 2, **{f"model.config.{k}": v for k, v in NETWORK.items()},
}  # fmt: skip
SMALL_RETRIEVER = {
    "data.reader.train": 40, "data.reader.val": 10, "data.reader.test": 10, "train.max_epochs": 1,
    "train.dataloader.batch_size_per_gpu": 32, "retrieval.candidates": 100,
}  # fmt: skip
SMALL_REGIONS = {
    "data.reader.images": 4, "data.reader.val": 4, "data.reader.test": 4, "train.max_steps": 2,
    "train.dataloader.batch_size_per_gpu": 8, "generation.max_length": 6, "stages": [], "model.config.d_model": 32,
}  # fmt: skip
STYLES = ["plain", "poetic", "pirate", "robot", "humorous", "romantic", "Sweet", "Dry"]
TAUGHT_CAPTIONER = {
    **SMALL_CAPTIONER, "style.names": STYLES, "objectives": [{"type": "cross_entropy"}, {"type": "itm"}],
    "model.tokenizer.num_codes": 8192, "model.tokenizer.num_bins": 1000,
}  # fmt: skip
"""The captioner that runs of pages hold; the codes and bins are those of the stock code."""

EVERYWHERE = {
    "configs": "ROOT/configs", "work_dir/quickstart": "captioner", "work_dir/retrieval_quickstart": "retriever",
    "IMAGE.png": "image", "dog.jpg": "image", "photo.jpg": "image", "photograph.jpg": "image", "photo.png": "image",
    "DIR": "data", "DATA": "data", "CONF.json": "configuration", "FILE": "configuration",
    "MODEL_DIR_OR_HUB_ID": "captioner/best",
}  # fmt: skip
"""What a name stands for on every page: an attribute of `StandIns`, and perhaps a path in it."""

ON_ONE_PAGE = {
    **{
        page: {"work_dir/mine": "captioner", "work_dir/other": "captioner", "photos": "files/val2014"}
        for page in ("docs/captioning.md", "docs/zh/captioning.md")
    },
    "docs/checkpoints.md": {
        "work_dir/run": "captioner", "work_dir/a": "captioner", "work_dir/b": "captioner",
        "caption_base_best.pt": "fairseq", "OFA/utils/BPE": "captioner/best", "download.tar": "archive",
    },
    "docs/moving/from-pycocoevalcap.md": {
        "results.json": "files/captions.json", "annotations.json": "files/annotations.json",
    },
    "docs/objectives.md": {"work_dir/run": "captioner", "work_dir/quickstart": "captioner"},
    "docs/knowledge-bases.md": {"articles.jsonl": "files/articles.jsonl", "FILE": "retrieval_configuration"},
    "docs/photographs.md": {"work_dir/mine": "captioner"},
    "docs/rankings.md": {name: f"files/{name}" for name in ("bm25.trec", "dense.trec", "test.trec")},
    "docs/released-weights.md": {
        "work_dir/personality_captions": "captioner", "caption_base_best.pt": "fairseq",
        "OFA/utils/BPE": "captioner/best", "damo/ofa_pretrain_base_en": "captioner/best",
    },
    "README.md": {"work_dir/run": "captioner"},
    "docs/regions.md": {
        "work_dir/vl_quickstart": "region_captioner", "DIR": "region_captioner/best", "new.png": "image",
        "new.jpg": "image", "new_features.npz": "features",
    },
    "docs/reports.md": {"work_dir/base": "captioner", "work_dir/scst": "captioner"},
    "docs/retrieval-training.md": {
        "CONF.json": "retrieval_configuration", "corpus.jsonl": "files/passages.jsonl", "train.jsonl":
        "files/queries.jsonl", "train.trec": "files/test.trec", "bm25.trec": "files/bm25.trec",
        "dense.trec": "files/dense.trec", "CROSS_ENCODER": "cross_encoder",
    },
    "docs/retrieval.md": {"work_dir/run": "retriever"},
    "docs/scaling.md": {"DIR": "retriever/best", "base.jsonl": "files/passages.jsonl"},
    "docs/scores.md": {
        **{name: "files/captions.json" for name in ("results.json", "base.json")}, "scst.json": "files/others.json",
        **{name: "files/annotations.json" for name in ("annotations.json", "captions_train.json")},
        "CLIP_DIR": "clip", "val2014": "files/val2014",
    },
}  # fmt: skip
"""And what it stands for on one page alone."""


class StandIns:
    """The things themselves, each made when it is first asked for.

    Args:
        folder: Where they are kept.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.pages: set[str] = set()

    def page(self, name: str) -> Path:
        """The folder in which commands of a page are run, with the names that it uses; made with the first call.

        Args:
            name: Of the page, from the root of the project.
        """
        place = self.folder / "pages" / name.replace("/", "_").removesuffix(".md")
        if name not in self.pages:
            text = (ROOT / name).read_text(encoding="utf-8")
            everywhere = {target: what for target, what in EVERYWHERE.items() if target in text or target == "configs"}
            for target, what in {**everywhere, **ON_ONE_PAGE.get(name, {})}.items():
                self._put(place / target, what)
            self.pages.add(name)
        return place

    def _put(self, place: Path, what: str) -> None:
        """A copy of a run, whose tools write into it; a link to anything else."""
        kind, _, inside = what.partition("/")
        source = (ROOT if kind == "ROOT" else getattr(self, kind)) / inside
        place.parent.mkdir(parents=True, exist_ok=True)
        if (source / "conf.json").exists():
            shutil.copytree(source, place)
        else:
            place.symlink_to(source)

    @cached_property
    def captioner(self) -> Path:
        """The run of a small captioner, taught `itm` besides, in the styles that pages name."""
        return self._trained("configs/quickstart.json", "captioner", TAUGHT_CAPTIONER)

    @cached_property
    def retriever(self) -> Path:
        """The run of a small retriever."""
        return self._trained("configs/retrieval/quickstart.json", "retriever", SMALL_RETRIEVER)

    @cached_property
    def region_captioner(self) -> Path:
        """The run of a small captioner that reads regions."""
        return self._trained("configs/vl/quickstart.json", "region_captioner", SMALL_REGIONS)

    @cached_property
    def features(self) -> Path:
        """Regions of an image that is called `new`, as others make them."""
        np.savez(self.folder / "features.npz", ids=["new"], features=np.ones((1, 3, 192), np.float32))
        return self.folder / "features.npz"

    def _trained(self, conf: str, name: str, keys: dict) -> Path:
        work_dir = self.folder / name
        sets = settings({**keys, "work_dir": str(work_dir)})
        with contextlib.redirect_stdout(io.StringIO()):
            assert finetune.main(["--conf", str(ROOT / conf), "--device", "cpu", *sets]) == 0
        return work_dir

    @cached_property
    def image(self) -> Path:
        """A drawn scene."""
        return min(self.captioner.rglob("images/test_*.png"))

    @cached_property
    def configuration(self) -> Path:
        """A small quickstart as a file of its own."""
        return self._configuration("conf.json", "configs/quickstart.json", SMALL_CAPTIONER)

    @cached_property
    def retrieval_configuration(self) -> Path:
        """The same of retrieval."""
        return self._configuration("retrieval_conf.json", "configs/retrieval/quickstart.json", SMALL_RETRIEVER)

    def _configuration(self, name: str, base: str, keys: dict) -> Path:
        values: dict = {"extends": str(ROOT / base)}
        for key, value in keys.items():
            section = values
            *above, last = key.split(".")
            for part in above:
                section = section.setdefault(part, {})
            section[last] = value
        path = self.folder / name
        path.write_text(json.dumps(values))
        return path

    @cached_property
    def data(self) -> Path:
        """Captions as FlickrStyle, Flickr8k and Personality-Captions lay them out, and an article of KILT."""
        folder = self.folder / "data"
        images = sorted(self.captioner.rglob("images/train_*.png"))
        for at in ("flickr8k/images", "flickrstyle", "personality_captions", "yfcc_images"):
            (folder / at).mkdir(parents=True)
        for image in images:
            shutil.copy(image, folder / "flickr8k" / "images")
            shutil.copy(image, folder / "yfcc_images" / f"{image.stem}.jpg")
        for split in ("train", "val", "test"):
            own = {"train": images[:2], "val": images[2:3], "test": images[3:]}[split]
            flickr = [{"image": i.name, "captions": [f"a {i.stem} thing", "it is there"]} for i in own]
            styled = [{"image": i.name, "humorous": f"a funny {i.stem}", "romantic": f"a dear {i.stem}"} for i in own]
            traits = [
                {"personality": trait, "comment": f"so {trait} a {i.stem}", "image_hash": i.stem}
                for i in own
                for trait in ("Sweet", "Dry")
            ]
            write_lines(folder / "flickr8k" / f"captions_{split}.jsonl", flickr)
            write_lines(folder / "flickrstyle" / f"{split}.jsonl", styled)
            (folder / "personality_captions" / f"{split}.json").write_text(json.dumps(traits))
        article = {
            "wikipedia_title": "Algeria",
            "wikipedia_id": "1",
            "text": {"paragraph": ["Algeria\n", "It is large. "]},
        }
        write_lines(folder / "kilt_wikipedia.jsonl", [article])
        return folder

    @cached_property
    def files(self) -> Path:
        """Captions and references, passages, questions, judgements and rankings."""
        folder = self.folder / "files"
        (folder / "val2014").mkdir(parents=True)
        words = ("a red ship in the rain", "two dogs run on grass", "a blue square above a circle")
        for number in (1, 2, 3):
            shutil.copy(self.image, folder / "val2014" / f"{number}.png")
        results = [{"image_id": number, "caption": text} for number, text in enumerate(words, 1)]
        others = [{**row, "caption": f"perhaps {row['caption']}"} for row in results]
        annotations = [{"id": n, "image_id": n, "caption": f"{text} today"} for n, text in enumerate(words, 1)]
        images = [{"id": n, "file_name": f"{n}.png"} for n in range(1, 4)]
        (folder / "captions.json").write_text(json.dumps(results))
        (folder / "others.json").write_text(json.dumps(others))
        (folder / "annotations.json").write_text(json.dumps({"images": images, "annotations": annotations}))
        write_lines(folder / "articles.jsonl", [{"id": "a", "title": "A", "text": "One sentence. And another."}])
        write_lines(folder / "passages.jsonl", [{"id": f"p{n}", "text": text} for n, text in enumerate(words)])
        write_lines(folder / "queries.jsonl", [{"id": f"q{n}", "text": text[:9]} for n, text in enumerate(words[:2])])
        (folder / "test.trec").write_text("q0 0 p0 1\nq1 0 p1 1\n")
        for name, order in (("bm25", (0, 1, 2)), ("dense", (2, 1, 0))):
            lines = [f"q{q} Q0 p{p} {r} {9 - r} {name}\n" for q in (0, 1) for r, p in enumerate(order, 1)]
            (folder / f"{name}.trec").write_text("".join(lines))
        return folder

    @cached_property
    def clip(self) -> Path:
        """A CLIP with random weights."""
        from tests.small_clip import small_clip

        return small_clip(self.folder / "clip")

    @cached_property
    def cross_encoder(self) -> Path:
        """A cross-encoder with random weights."""
        from tests.inference.cross_encoders import save_cross_encoder

        return save_cross_encoder(self.folder / "cross_encoder")

    @cached_property
    def fairseq(self) -> Path:
        """A file of fairseq."""
        from ofakit.cli import checkpoint

        path = self.folder / "caption_base_best.pt"
        with contextlib.redirect_stdout(io.StringIO()):
            assert checkpoint.main(["convert", str(self.captioner / "best"), str(path), "--to", "fairseq"]) == 0
        return path

    @cached_property
    def archive(self) -> Path:
        """A tar with that file."""
        path = self.folder / "download.tar"
        with tarfile.open(path, "w") as tar:
            tar.add(self.fairseq, "download/checkpoint_best.pt")
        return path


def settings(keys: dict) -> list[str]:
    """`--set` arguments.

    >>> settings({"train.max_steps": 4})
    ['--set', 'train.max_steps=4']
    """
    texts = {key: value if isinstance(value, str) else json.dumps(value) for key, value in keys.items()}
    return [part for key, text in texts.items() for part in ("--set", f"{key}={text}")]


def write_lines(path: Path, rows: list[dict], encode: Callable[[dict], str] = json.dumps) -> None:
    """JSON lines."""
    path.write_text("".join(encode(row) + "\n" for row in rows))
