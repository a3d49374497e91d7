"""`tools/checkpoint.py`: inspect a checkpoint, convert it, extract it from a tar archive, average several; adapters."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ofakit.cli._common import check_parents, new_file, positive, run_tool, tool_parser
from ofakit.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from ofakit.hub import CaptionBundle
    from ofakit.models.ofa import OFAModel

__all__ = ["main"]

EXAMPLES = """examples:
  python tools/checkpoint.py inspect ofa_base.pt
  python tools/checkpoint.py convert ofa_base.pt ofa-base --to modelscope --tokenizer BPE_DIR
  python tools/checkpoint.py convert work_dir/run/best plain --to plain --style humorous
  python tools/checkpoint.py convert work_dir/run/best encoder --to sentence-transformers --side passage
  python tools/checkpoint.py extract download.tar checkpoint_best.pt --out models/
  python tools/checkpoint.py average work_dir/a/best work_dir/b/best --out averaged
  python tools/checkpoint.py adapter work_dir/run/best adapter --base BASE_DIR
  python tools/checkpoint.py merge work_dir/run/best merged

`adapter` writes only a model's adapters, a few MB that name the base they belong to; every tool reads such a
folder as a model. `merge` folds LoRA and (IA)³ into the weights; other adapters cannot be merged.

Formats: ofakit (with styles and settings), plain or modelscope (a directory for ModelScope's own OFA), huggingface,
fairseq (one .pt file), sentence-transformers (the text encoder of one side of a retriever)."""

FORMATS = ("ofakit", "plain", "modelscope", "huggingface", "fairseq", "sentence-transformers")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the tool.

    Args:
        argv: The arguments; None takes those of the process.

    Returns:
        The exit code.
    """
    parser = tool_parser("Inspect, convert, extract and average checkpoints.", EXAMPLES)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    inspect = commands.add_parser("inspect", help="show what a checkpoint contains")
    inspect.add_argument("path", help="model directory, snapshot of a run, or file")
    convert = commands.add_parser("convert", help="write a checkpoint in another format")
    convert.add_argument("path", help="model directory or file")
    convert.add_argument("out", help="directory, or .pt file for fairseq")
    convert.add_argument("--to", choices=FORMATS, required=True, help="format to write")
    convert.add_argument("--tokenizer", metavar="DIR", help="vocabulary folder, for a checkpoint that has none")
    convert.add_argument("--style", metavar="NAME", help="style that the single prompt of a plain directory asks for")
    convert.add_argument("--side", choices=("query", "passage"), default="query", help="of a retriever; default: query")
    convert.add_argument("--image-size", type=positive, metavar="PIXELS", help="for a file that does not record it")
    convert.add_argument("--ema", action="store_true", help="take the averaged weights of a fairseq file")
    convert.add_argument("--allow-partial", action="store_true", help="accept missing or unexpected weights")
    extract = commands.add_parser("extract", help="extract a checkpoint from a tar archive")
    extract.add_argument("archive")
    extract.add_argument("member", help="path in the archive, or the end of that path")
    extract.add_argument(
        "--out", default=".", metavar="PATH", help="file to write, or FOLDER/ to put it in; default: here"
    )
    average = commands.add_parser("average", help="average several checkpoints of one model")
    average.add_argument(
        "paths", nargs="+", metavar="path", help="model directories; tokenizer and settings come from the first"
    )
    average.add_argument("--out", required=True, metavar="DIR")
    adapter = commands.add_parser("adapter", help="write only the adapters of a model")
    adapter.add_argument("path", help="model directory with adapters")
    adapter.add_argument("out", help="directory")
    adapter.add_argument("--base", metavar="DIR", help="the model without adapters; default: model.path of the run")
    merge = commands.add_parser("merge", help="fold adapters into the weights")
    merge.add_argument("path", help="model directory with adapters, or a directory of adapters alone")
    merge.add_argument("out", help="directory")
    merge.add_argument("--task", metavar="NAME", help="task whose adapters are merged, if each task has its own")
    merge.add_argument("--base", metavar="DIR", help="current place of the base, for a directory of adapters alone")
    return run_tool(parser, run, argv)


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Run the subcommand.

    Args:
        args: The parsed arguments.
    """
    commands = {"inspect": _inspect, "convert": _convert, "extract": _extract, "average": _average}
    return {**commands, "adapter": _adapter, "merge": _merge}[args.command](args)


def _inspect(args: argparse.Namespace) -> dict[str, Any]:
    from ofakit.hub.checkpoint_description import describe_checkpoint

    return {"path": args.path, **describe_checkpoint(args.path)}


def _adapter(args: argparse.Namespace) -> dict[str, Any]:
    from ofakit.hub import load_bundle
    from ofakit.hub.adapter_directory import write_adapter
    from ofakit.hub.checkpoint_description import describe_adapter
    from ofakit.hub.directory import whole_configuration
    from ofakit.models.adapters import adapter_of

    out, bundle = _replaceable(args.out), load_bundle(args.path)
    if adapter_of(bundle.model) is None:
        raise UsageError(
            f"the model in {args.path} has no adapters; set model.adapter in a configuration to train some"
        )
    base = args.base or _base_of_run(args.path)
    write_adapter(bundle, whole_configuration(bundle), out, base)
    return {"out": str(out), **{key: value for key, value in describe_adapter(out).items() if key != "dtypes"}}


def _base_of_run(path: str) -> str:
    """The model that the run of a model directory started from."""
    from pathlib import Path

    from ofakit.input_files import read_json_file

    file = Path(path).absolute().parent / "conf.json"
    model = read_json_file(file, "a run's configuration").get("model", {}) if file.exists() else {}
    encoder = model.get("config", {}).get("encoder", {}) if isinstance(model.get("config"), dict) else {}
    found = model.get("path") or encoder.get("path")
    if not found:
        raise UsageError(f"the run of {path} does not record which model it started from: pass --base")
    return str(found)


def _merge(args: argparse.Namespace) -> dict[str, Any]:
    from ofakit.hub import load_bundle, save_bundle
    from ofakit.models.adapters import adapter_of, merge_adapters

    out, bundle = _replaceable(args.out), load_bundle(args.path, base=args.base)
    adapter = adapter_of(bundle.model)
    merge_adapters(bundle.model, args.task)
    save_bundle(bundle, out)
    return {"out": str(out), "merged": adapter, "parameters": sum(p.numel() for p in bundle.model.parameters())}


def _convert(args: argparse.Namespace) -> dict[str, Any]:
    from ofakit.hub import export_huggingface, export_plain, save_bundle
    from ofakit.models.ofa.checkpoints import save_fairseq

    out = new_file(args.out, "out") if args.to == "fairseq" else _replaceable(args.out)
    if args.to == "sentence-transformers":
        return _convert_retriever(args, out)
    bundle = _bundle(args)
    if args.to == "ofakit":
        save_bundle(bundle, out)
    elif args.to in ("plain", "modelscope"):
        export_plain(bundle, out, args.style)
    elif args.to == "huggingface":
        export_huggingface(bundle, out)
    else:
        save_fairseq(_ofa(bundle), out)
    return {"out": str(out), "format": args.to, "parameters": sum(p.numel() for p in bundle.model.parameters())}


def _convert_retriever(args: argparse.Namespace, out: Path) -> dict[str, Any]:
    """Write the text encoder of one side of a retriever."""
    from ofakit.hub import load_retriever
    from ofakit.hub.sentence_transformers import export_sentence_transformer

    bundle = load_retriever(args.path, allow_partial=args.allow_partial)
    export_sentence_transformer(bundle, out, args.side)
    count = sum(parameter.numel() for parameter in bundle.model.encoder(args.side).parameters())
    return {"out": str(out), "format": args.to, "parameters": count}


def _replaceable(name: str) -> Path:
    """Where a model directory may be written: a new or an empty folder, or one that ofakit wrote.

    Args:
        name: As given on the command line.

    Raises:
        UsageError: Something else would be lost, or a file is in the way.
    """
    from pathlib import Path

    from ofakit.folder_marks import refuse_strangers

    out = Path(name)
    check_parents(out, "out")
    refuse_strangers(out)
    return out


def _ofa(bundle: CaptionBundle) -> OFAModel:
    """The model, where it is one that fairseq and Hugging Face know.

    Args:
        bundle: What is converted.

    Raises:
        UsageError: It is of another type.
    """
    from ofakit.models.ofa import OFAModel

    if not isinstance(bundle.model, OFAModel):
        raise UsageError(
            f"that format exists for OFA only, found a model of type {bundle.model_type!r}; use --to ofakit"
        )
    return bundle.model


def _bundle(args: argparse.Namespace) -> CaptionBundle:
    """The checkpoint with its own tokenizer or the one that was named."""
    from pathlib import Path

    from ofakit.config.schema import GenerationSection, PreprocessorSection
    from ofakit.hub import CaptionBundle, load_bundle, resolve_model
    from ofakit.models.ofa import OFAModel, load_checkpoint
    from ofakit.models.ofa.checkpoints import config_of
    from ofakit.models.ofa.released import read_released
    from ofakit.text import OFATokenizer

    path = resolve_model(args.path)
    _refuse_weights_of_others(path)
    if path.is_dir() and args.tokenizer is None:
        return load_bundle(path, allow_partial=args.allow_partial)
    if path.is_dir() and any((path / name).exists() for name in ("vocab.json", "vocab.txt")):
        raise UsageError(f"{path} has a vocabulary of its own; leave out --tokenizer")
    if args.tokenizer is None and args.to != "fairseq":
        raise UsageError(f"{path} is a file without a vocabulary: pass --tokenizer DIR, such as utils/BPE of OFA")
    model = OFAModel(config_of(path))
    load_checkpoint(model, path, allow_partial=args.allow_partial)
    released = read_released(path) if path.is_file() else None
    tokenizer = None if args.tokenizer is None else OFATokenizer.from_pretrained(Path(args.tokenizer))
    if tokenizer is not None:
        _check_vocabulary(args, tokenizer, model.config.vocab_size, released is not None)
    if released is None:
        return CaptionBundle(model, tokenizer)
    _take_averaged(args, model, released)
    sizes = PreprocessorSection(**{**released.preprocessor, **_image_size(args, released.preprocessor)})
    return CaptionBundle(model, tokenizer, None, sizes, GenerationSection(**released.generation))


def _refuse_weights_of_others(path: Path) -> None:
    """Refuse a file or a snapshot that is not OFA's; a model directory of any type is read."""
    from ofakit.hub.adapter_directory import is_adapter
    from ofakit.hub.checkpoint_description import type_of_checkpoint

    if (path / "config.json").exists() or is_adapter(path) or not path.exists():
        return
    kind = type_of_checkpoint(path)
    if kind != "ofa":
        raise UsageError(
            f"{path} has the weights of a model of type {kind!r} and nothing beside them; such files and snapshots "
            "are converted of OFA only. Convert a model directory, such as best/ of its run, or let a run start from "
            f"it: --set model.path={path}"
        )


def _check_vocabulary(args: argparse.Namespace, tokenizer: Any, rows: int, is_fairseq: bool) -> None:
    """Refuse a vocabulary that cannot be the checkpoint's."""
    from ofakit.models.ofa.released import SPECIAL_IDS

    if len(tokenizer) > rows or (len(tokenizer) < rows and is_fairseq and not args.allow_partial):
        raise UsageError(f"the vocabulary of {args.tokenizer} has {len(tokenizer)} entries, the model {rows}")
    found = {token: tokenizer.token_to_id(token) for token in SPECIAL_IDS}
    if is_fairseq and found != SPECIAL_IDS:
        raise UsageError(
            f"expected the vocabulary of a fairseq file, where {SPECIAL_IDS}; found {found} in {args.tokenizer}. Name "
            "the folder that the model was trained with: utils/BPE or utils/BERT_CN_dict of OFA, with dict.txt"
        )


def _take_averaged(args: argparse.Namespace, model: OFAModel, released: Any) -> None:
    """The averaged weights of a file, where they are asked for."""
    if args.ema and not released.ema:
        raise UsageError(f"--ema: {args.path} has no averaged weights")
    if args.ema:
        model.load_stock_state_dict(released.ema)
    elif released.ema:
        print(f"{args.path} also contains weights averaged over training: pass --ema to use them", file=sys.stderr)


def _image_size(args: argparse.Namespace, found: dict[str, Any]) -> dict[str, Any]:
    """The size of images that was asked for, or a word where nobody says it."""
    if args.image_size is not None:
        return {"patch_image_size": args.image_size}
    if "patch_image_size" not in found:
        print(
            f"{args.path} does not record its image size; the released caption models need --image-size 480, the "
            "pretrained ones 384",
            file=sys.stderr,
        )
    return {}


def _extract(args: argparse.Namespace) -> dict[str, Any]:
    from pathlib import Path

    from ofakit.models.weights import extract_from_tar

    out = Path(args.out)
    check_parents(out / args.member if args.out.endswith("/") else out, "--out")
    return {"out": str(extract_from_tar(args.archive, args.member, args.out))}


def _average(args: argparse.Namespace) -> dict[str, Any]:
    from ofakit.hub import load_bundle, save_bundle
    from ofakit.models.ofa import OFAModel
    from ofakit.models.ofa.checkpoints import average

    out = _replaceable(args.out)
    bundle = load_bundle(args.paths[0])
    if isinstance(bundle.model, OFAModel):
        bundle.model.load_stock_state_dict(average(args.paths))
    else:
        bundle.model.load_state_dict(average(args.paths, lambda path: load_bundle(path).model.state_dict()))
    return {"out": str(save_bundle(bundle, out)), "averaged": len(args.paths)}
