"""`python -m trainer train|evaluate|ablate|prepare|synthesize|merge|export|...`: training from the command line."""

import argparse
import contextlib
import dataclasses
import logging
import os
import signal
import sys
from dataclasses import replace
from pathlib import Path

from animateanywhere.__main__ import add_config_options
from animateanywhere.cancel import CancelToken
from animateanywhere.config import field_help
from animateanywhere.errors import Cancelled, InputError
from animateanywhere.media import check_output_path
from animateanywhere.memory import keep_freed_memory
from trainer.ablation.settings import AblationConfig
from trainer.config import CameraRegressorConfig, DataConfig, DepthNetworkConfig, FrameRefinerConfig, TrainConfig
from trainer.evaluate_settings import EvaluateConfig
from trainer.perceptual.settings import PerceptualConfig
from trainer.prepare.settings import PrepareConfig, model_to_encode_for
from trainer.presets import PRESETS, get_preset
from trainer.run_folder import RunFolder


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m trainer", description="Train AnimateAnywhere models.")
    commands = parser.add_subparsers(dest="command", required=True)
    train = commands.add_parser("train", help="run the stages of a preset or a config file")
    source = train.add_mutually_exclusive_group()
    source.add_argument("--preset", default=None, help=f"one of: {', '.join(PRESETS)}")
    source.add_argument("--config", type=Path, help="json file of a TrainConfig, such as a run's train_config.json")
    train.add_argument("--output", type=Path, required=True, help="run folder, for example runs/my-mini")
    train.add_argument("--dataset", type=Path, help="train on this folder made by prepare, not on stage world")
    train.add_argument("--start-from", metavar="MODEL", help=field_help(TrainConfig)["start_from"])
    train.add_argument("--resume", action="store_true", help="go on from the run folder's last checkpoint")
    evaluate = commands.add_parser("evaluate", help="score a model on stage-world clips it never saw")
    add_config_options(evaluate, EvaluateConfig)
    evaluate.add_argument("--output", type=Path, required=True, help="report json to write")
    evaluate.add_argument("--sheet", type=Path, help="contact sheet png to write")
    add_weights_option(evaluate)
    ablate = commands.add_parser("ablate", help="train and measure the rows of one of the paper's tables")
    add_config_options(ablate, AblationConfig)
    ablate.add_argument("--output", type=Path, required=True, help="folder to make; run again to go on with it")
    prepare = commands.add_parser("prepare", help="turn real videos of people into training clips")
    prepare.add_argument("videos", type=Path, metavar="CLIPS_DIR", help="folder with videos, in folders or not")
    prepare.add_argument("--output", type=Path, required=True, help="dataset folder; run again to go on with it")
    add_config_options(prepare, PrepareConfig)
    prepare.add_argument(
        "--encode-for",
        metavar="MODEL",
        help="encode the clips for this model as well (on the CPU), so that its training starts at once: 'mini', a model folder, "
        "or a Hub id",
    )
    perceptual = commands.add_parser("perceptual", help="train the perceptual loss's network on stage world, anew")
    perceptual.add_argument("--output", type=Path, required=True, help=".safetensors file to write")
    add_config_options(perceptual, PerceptualConfig)
    synthesize = commands.add_parser("synthesize", help="render stage-world clips as mp4 and labels")
    synthesize.add_argument("--num-clips", type=int, default=8, help="how many clips")
    synthesize.add_argument("--seed", type=int, default=0, help="index of the first clip within the split")
    synthesize.add_argument("--split", choices=("train", "val", "test"), default="train", help="which disjoint seeds")
    synthesize.add_argument("--output", type=Path, required=True, help="folder for the clips")
    add_camera_options(commands)
    add_model_commands(commands)
    return parser


def add_weights_option(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--weights",
        nargs="+",
        default=[],
        type=_named_file,
        metavar="NAME=FILE",
        help="networks for lpips, fid, fvd: FILE is a path or OWNER/REPO:FILE on the Hub, holding tensors only; "
        "NAME is vgg16, lpips_vgg, alexnet, lpips_alex, inception or i3d",
    )


def add_camera_options(commands) -> None:
    regressor = commands.add_parser("camera-regressor", help="train the small network from joints to camera motion")
    regressor.add_argument("--output", type=Path, required=True, help="safetensors file to write")
    add_config_options(regressor, CameraRegressorConfig)
    depths = commands.add_parser("depth-network", help="train the small network from a place's picture to distances")
    depths.add_argument("--output", type=Path, required=True, help="safetensors file to write")
    add_config_options(depths, DepthNetworkConfig)
    refiner = commands.add_parser("frame-refiner", help="train the small network that draws a model's frames once more")
    refiner.add_argument("--output", type=Path, required=True, help="model folder to make: the model with its refiner")
    add_config_options(refiner, FrameRefinerConfig)
    implied = commands.add_parser("implied-camera", help="score the cameras read off poses, on takes never trained on")
    implied.add_argument("--split", choices=("train", "val", "test"), default="test", help="which disjoint seeds")
    implied.add_argument("--num-clips", type=int, default=1200, help="how many takes")
    implied.add_argument("--weights", type=Path, help="camera regressor (default: the shipped one)")
    implied.add_argument("--output", type=Path, help="report json to write")


def add_model_commands(commands) -> None:
    merge = commands.add_parser("merge", help="fold a LoRA fine-tune into its finished model")
    merge.add_argument("--model", required=True, help="the fine-tune: a checkpoint of stage lora, or a Hub id")
    merge.add_argument("--output", type=Path, required=True, help="folder to make for the merged model")
    export = commands.add_parser("export", help="write a model as a folder for others, with a model card")
    export.add_argument("--model", required=True, help="'mini', a model folder or checkpoint, or a Hub id")
    export.add_argument("--output", type=Path, required=True, help="folder to make")
    export.add_argument("--push", metavar="OWNER/NAME", help="then upload it to the Hub under this name")
    export.add_argument("--public", action="store_true", help="make a new repository public (default: private)")
    export.add_argument(
        "--base", metavar="OWNER/NAME", help="Hub id of a frozen base that was trained on from a folder"
    )


def _named_file(text: str) -> tuple[str, str]:
    name, equals, source = text.partition("=")
    if not equals or not name or not source:
        raise argparse.ArgumentTypeError(f"{text!r}: expected NAME=FILE")
    return name, source


def read_config(args: argparse.Namespace, folder: RunFolder) -> TrainConfig:
    """The run's settings: a file, a preset, or, when resuming, what the folder was started with."""
    path = args.config or (folder.config if args.resume and not args.preset else None)
    if path is None:
        return get_preset(args.preset or "mini")
    try:
        return TrainConfig.from_json(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read settings {path}: {error}; expected a TrainConfig json") from error


def train(args: argparse.Namespace) -> None:
    from trainer.failures import RecordedRun
    from trainer.loop import Trainer
    from trainer.processes import join_processes

    if args.resume and args.start_from is not None:
        raise InputError(
            "--resume goes on from the run's own checkpoint: leave out --start-from, or choose another --output"
        )
    folder = RunFolder(args.output)
    folder.require(args.resume)
    config = read_config(args, folder)
    if args.dataset is not None:
        config = replace(config, data=replace(config.data, dataset=str(args.dataset.resolve())))
    if args.start_from is not None:
        config = replace(config, start_from=args.start_from)
    processes = join_processes(config)
    if processes.is_main:
        folder.create(args.resume)
    processes.wait()
    _log_to(folder, processes.is_main)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: folder.request_stop())
    with RecordedRun(folder) if processes.is_main else contextlib.nullcontext():
        Trainer(config, folder, args.resume, processes).train()


def _log_to(folder: RunFolder, is_main: bool) -> None:
    """Of several processes one tells how the run gets on; all tell what goes wrong."""
    logging.raiseExceptions = False  # a full disk takes no log lines; the run itself says so
    handlers = [logging.StreamHandler(), *([logging.FileHandler(folder.log)] if is_main else [])]
    level = logging.INFO if is_main else logging.WARNING
    logging.basicConfig(level=level, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", handlers=handlers)


def synthesize(args: argparse.Namespace) -> None:
    from trainer.synthesize import write_clips

    data = replace(DataConfig(), num_clips=args.num_clips, first_clip=args.seed)
    write_clips(data, args.split, args.output)


def prepare(args: argparse.Namespace) -> None:
    # Read when numpy is first imported: cameras are fitted with small matrices, whose threads wait longer than they work.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from trainer.prepare.dataset import prepare_dataset
    from trainer.prepare.progress import ProgressLine

    config = PrepareConfig(**{f.name: getattr(args, f.name) for f in dataclasses.fields(PrepareConfig)})
    model = model_to_encode_for(args.encode_for, config) if args.encode_for else None
    cancel, line = CancelToken(), ProgressLine()
    before = {n: signal.signal(n, lambda *_: cancel.cancel()) for n in (signal.SIGTERM, signal.SIGINT)}
    try:
        made = prepare_dataset(args.videos, args.output, config, on_progress=line, cancel=cancel)
        if model is not None and made.num_kept:
            from trainer.prepare.encoding import encode_clips

            encode_clips(made.kept_files, model, line.encoded, cancel)
    finally:
        line.end()
        for number, handler in before.items():
            signal.signal(number, handler)
    dropped, unused = len(made.clips) - made.num_kept, sum(not source.used for source in made.sources)
    print(f"{made.folder}  {made.num_kept} clips kept, {dropped} stretches dropped, {unused} videos not used")
    print(f"{made.folder / 'report.html'}  look at it before training")


def perceptual(args: argparse.Namespace) -> None:
    from trainer.perceptual.training import make_perceptual_network

    config = PerceptualConfig(**{f.name: getattr(args, f.name) for f in dataclasses.fields(PerceptualConfig)})
    cancel = CancelToken()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: cancel.cancel())
    make_perceptual_network(args.output, config, print, cancel)
    print(f"{args.output}  name it as perceptual_network in a run's settings")


def evaluate(args: argparse.Namespace) -> None:
    from trainer.evaluate import evaluate as score
    from trainer.evaluate import metrics_table

    config = EvaluateConfig(**{f.name: getattr(args, f.name) for f in dataclasses.fields(EvaluateConfig)})
    report = score(config, args.output, args.sheet, dict(args.weights))
    print(metrics_table(report))
    how = f"{report.num_inference_steps} steps, guidance {report.guidance_scale:g}, background blend {report.background_blend:g}"
    how += f", frames {'refined' if report.refined else 'as decoded'}"
    print(f"{report.model} on {report.num_clips} {report.split} clips, {how}, PSNR in dB:")
    for name, value in report.mean.items():
        print(f"  {name:<22} {value:.2f}")
    print(f"  above frozen in {report.share_above_frozen:.0%} of clips; {report.seconds_per_clip:.1f} s per video")


def ablate(args: argparse.Namespace) -> None:
    from trainer.ablate import ablate as run
    from trainer.ablation.runs import Stop

    config = AblationConfig(**{f.name: getattr(args, f.name) for f in dataclasses.fields(AblationConfig)})
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    stop = Stop()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop())
    print(run(config, args.output, print, stop))


def camera_regressor(args: argparse.Namespace) -> None:
    from trainer.camera_regressor import train_regressor

    check_output_path(args.output, ".safetensors")
    config = CameraRegressorConfig(**{f.name: getattr(args, f.name) for f in dataclasses.fields(CameraRegressorConfig)})
    train_regressor(config, args.output, print)
    print(f"{args.output}  {args.output.stat().st_size / 1000:.0f} kB")


def depth_network(args: argparse.Namespace) -> None:
    from trainer.depth_network import train_depth_network

    check_output_path(args.output, ".safetensors")
    config = DepthNetworkConfig(**{f.name: getattr(args, f.name) for f in dataclasses.fields(DepthNetworkConfig)})
    train_depth_network(config, args.output, print)
    print(f"{args.output}  {args.output.stat().st_size / 1000:.0f} kB")


def frame_refiner(args: argparse.Namespace) -> None:
    from trainer.frame_refiner import train_frame_refiner

    config = FrameRefinerConfig(**{f.name: getattr(args, f.name) for f in dataclasses.fields(FrameRefinerConfig)})
    train_frame_refiner(config, args.output, lambda text: print(text, flush=True))
    print(f"{args.output}  evaluate --model {args.output} measures it")


def implied_camera(args: argparse.Namespace) -> None:
    from animateanywhere.models.camera_regressor import WEIGHTS
    from trainer.implied_camera import score_takes, table_lines, write_report

    if args.output:
        check_output_path(args.output, ".json")
    scores = score_takes(args.split, args.num_clips, args.weights or WEIGHTS)
    if args.output:
        write_report(args.output, args.split, scores)
    print("\n".join(table_lines(scores)))


def merge(args: argparse.Namespace) -> None:
    from trainer.merge import merge as fold

    made = fold(args.model, args.output)
    print(f"{args.output}  model {made.model.name}: {made.model.trained_on}")


def export(args: argparse.Namespace) -> None:
    from trainer.export import CARD
    from trainer.export import export as write

    folder = write(args.model, args.output, args.push, args.public, args.base)
    print(f"{folder}  {folder / CARD} is its model card: read it before you publish")
    if args.push:
        print(f"https://huggingface.co/{args.push}")


COMMANDS = {
    "train": train,
    "evaluate": evaluate,
    "ablate": ablate,
    "prepare": prepare,
    "perceptual": perceptual,
    "synthesize": synthesize,
    "camera-regressor": camera_regressor,
    "depth-network": depth_network,
    "frame-refiner": frame_refiner,
    "implied-camera": implied_camera,
    "merge": merge,
    "export": export,
}


def main(argv: list[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    keep_freed_memory()
    try:
        COMMANDS[args.command](args)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except Cancelled as notice:
        print(notice, file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
