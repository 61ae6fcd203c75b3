"""`python -m animateanywhere generate|preview|pose|camera|epipolar|doctor`: everything the page does, from the command line."""

import argparse
import dataclasses
import shlex
import signal
import sys
import typing
from pathlib import Path

from animateanywhere.cancel import CancelToken
from animateanywhere.config import GenerateConfig, PreviewConfig, field_help
from animateanywhere.errors import Cancelled, InputError
from animateanywhere.memory import keep_freed_memory

PICTURE_SIDE_PX = 640
"""Longest side of the video that `pose --picture` draws: all its frames are held in memory."""

_IMPLIED_UNIT = "metres if the person is 1.7 m tall"


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m animateanywhere",
        description="A person's picture, a background picture and a pose sequence become a video.",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    generate = commands.add_parser("generate", help="make a video; without options, the bundled example")
    add_clip_options(generate, Path("out.mp4"))
    drafted = commands.add_parser("preview", help="draw a draft of the same clip in seconds, without a model")
    add_clip_options(drafted, Path("preview.mp4"))
    add_config_options(drafted, PreviewConfig)
    add_pose_options(
        commands.add_parser("pose", help="find the joints of people in a video, look them over, repair them")
    )
    add_camera_options(commands.add_parser("camera", help="find out how the camera of a video moved"))
    add_epipolar_options(commands.add_parser("epipolar", help="draw where a point of one frame may be in another"))
    doctor = commands.add_parser("doctor", help="say what this machine has and what works on it")
    doctor.add_argument("--json", action="store_true", help="print json instead of lines")
    return parser


def add_clip_options(parser: argparse.ArgumentParser, output: Path) -> None:
    for name, text in (
        ("human", "picture of the person"),
        ("background", "picture of the place"),
        ("pose", "video of a moving person, drawn skeleton video, or pose json"),
    ):
        parser.add_argument(f"--{name}", type=Path, help=f"{text} (default: the bundled example)")
    parser.add_argument("--model", default="mini", help="'mini', a model folder, or a Hub id (default: mini)")
    parser.add_argument("--output", type=Path, default=output, help=f"the mp4 to write (default: {output})")
    add_config_options(parser, GenerateConfig)


def add_pose_options(pose: argparse.ArgumentParser) -> None:
    pose.add_argument("video", type=Path, help="video or picture with people in it, or a pose json")
    pose.add_argument(
        "--output", type=Path, help="pose json to write (may be left out for a pose json: it is looked over)"
    )
    pose.add_argument("--picture", type=Path, help="also write a video of the drawn pose (mp4)")
    pose.add_argument("--strip", type=Path, help="also draw the confidence over time (png)")
    pose.add_argument("--fps", type=float, help="frames per second to sample (default: the video's own)")
    pose.add_argument(
        "--repair",
        action="append",
        default=[],
        metavar="NAME[:OPTION=VALUE,...]",
        help="repair the pose; again for more, done in this order; --list-repairs says what there is",
    )
    pose.add_argument("--list-repairs", action=ListRepairs, help="print all repairs with their options, and end")
    pose.add_argument("--human", type=Path, help="picture of a person whose proportions the pose takes over")
    pose.add_argument("--strength", type=float, default=1.0, help="how far it takes them over, 0 to 1 (default: 1)")
    add_config_options(pose, GenerateConfig, only=("detector",))


class ListRepairs(argparse.Action):
    """`--list-repairs`, in place of a longer `--help`: the repairs' modules load slowly."""

    def __init__(self, option_strings, dest, help=None):
        super().__init__(option_strings, dest, nargs=0, help=help)

    def __call__(self, parser, namespace, values, option_string=None):
        from animateanywhere.pose.repairs import repairs_help

        print(repairs_help())
        parser.exit()


def add_camera_options(camera: argparse.ArgumentParser) -> None:
    camera.add_argument(
        "video",
        type=Path,
        help="video whose background is followed, people masked out; or a pose json: how its camera may have moved",
    )
    add_config_options(camera, PreviewConfig, only=("variant", "camera"))
    camera.add_argument("--output", type=Path, help="camera json to write")
    camera.add_argument("--plot", type=Path, help="also draw pan, tilt, roll, moves and zoom over time (png)")
    camera.add_argument("--numbers", action="store_true", help="print a line of numbers per frame")
    camera.add_argument("--focal", type=float, help="focal length in pixels of the video (default: guessed)")
    camera.add_argument(
        "--detector",
        default="mediapipe",
        choices=("mediapipe", "rtmlib", "none"),
        help="who looks for people to mask out; 'none' if there are none (default: mediapipe)",
    )
    camera.add_argument(
        "--method",
        default="built-in",
        choices=("built-in", "colmap"),
        help="colmap needs pycolmap and minutes, for hard clips with a moving camera (default: built-in)",
    )
    camera.add_argument("--fps", type=float, help="frames per second to sample (default: the video's own)")
    camera.add_argument("--max-frames", type=int, help="look at the first frames only (default: all)")


def add_epipolar_options(epipolar: argparse.ArgumentParser) -> None:
    epipolar.add_argument("--camera", type=Path, required=True, help="camera file, or COLMAP's folder")
    epipolar.add_argument(
        "--format",
        default="auto",
        help="auto, json, re10k, humanvid-c2w, humanvid-w2c, colmap or stage-world (default: auto, all but humanvid)",
    )
    epipolar.add_argument("--video", type=Path, help="clip to draw on (default: grey pictures)")
    epipolar.add_argument("--size", help="WIDTHxHEIGHT of the pictures, if neither camera file nor video says it")
    epipolar.add_argument("--frame-i", type=int, required=True, help="frame with the point, from 0")
    epipolar.add_argument("--frame-j", type=int, required=True, help="frame to look for it in")
    epipolar.add_argument("--point", required=True, help="X,Y in pixels; 0,0 is the left upper corner")
    epipolar.add_argument("--thickness", type=float, help="distance from the line in tokens that still counts as on it")
    epipolar.add_argument("--output", type=Path, required=True, help="the png to write")


def add_config_options(parser: argparse.ArgumentParser, cls, only: tuple[str, ...] | None = None) -> None:
    """One option per dataclass field: name, type, default and help all come from the field."""
    helps, hints = field_help(cls), typing.get_type_hints(cls)
    for field in dataclasses.fields(cls):
        if only is not None and field.name not in only:
            continue
        names = [f"--{field.name.replace('_', '-')}"] + (["--steps"] if field.name == "num_inference_steps" else [])
        options = {"default": field.default, "dest": field.name, "help": helps[field.name].replace("%", "%%")}
        kind = [k for k in typing.get_args(hints[field.name]) or (hints[field.name],) if k is not type(None)]
        if hints[field.name] is bool:
            options["action"] = argparse.BooleanOptionalAction
        elif isinstance(kind[0], str):
            options["choices"] = kind
        else:
            options["type"] = kind[0]
        parser.add_argument(*names, **options)


def run_generate(args: argparse.Namespace, cancel: CancelToken) -> None:
    from animateanywhere.generate import generate, plan
    from animateanywhere.media import check_output_path
    from animateanywhere.pipeline import load_pipeline

    request = clip_request(args)
    check_output_path(request.output)
    pipeline = load_pipeline(args.model)
    planned = plan(request, pipeline.model)
    say(f"model {pipeline.model.name}: {pipeline.model.trained_on}")
    say(f"making {planned.describe()}")
    result = generate(pipeline, request, on_progress=ProgressLine(), cancel=cancel)
    for note in result.notes:
        say(f"note: {note}")
    print(f"{result.path}  seed {result.seed}  {result.seconds:.1f} s  model {result.model_name}")


def clip_request(args: argparse.Namespace):
    """The GenerateRequest that the options of `generate` and `preview` make."""
    from animateanywhere.generate import GenerateRequest

    given = {name: getattr(args, name) for name in ("human", "background", "pose") if getattr(args, name)}
    return GenerateRequest(**given, config=config_of(args, GenerateConfig), output=args.output)


def config_of(args: argparse.Namespace, cls):
    """The dataclass whose fields `add_config_options` made options of."""
    return cls(**{field.name: getattr(args, field.name) for field in dataclasses.fields(cls)})


def run_preview(args: argparse.Namespace, cancel: CancelToken) -> None:
    from animateanywhere.preview_files import PreviewRequest, model_config, preview

    request = PreviewRequest(clip_request(args), config_of(args, PreviewConfig))
    result = preview(request, model_config(args.model), on_progress=ProgressLine(), cancel=cancel)
    for note in result.notes:
        say(f"note: {note}")
    print_variants(result.camera.variants, result.chosen)
    print(f"{result.path}  draft, {result.seconds:.1f} s; generate with --prompt {shlex.quote(result.chosen.sentence)}")


def run_pose(args: argparse.Namespace, cancel: CancelToken) -> None:
    from animateanywhere.config import PoseStyle
    from animateanywhere.media import VideoFrames, check_output_path, limited_size, write_video
    from animateanywhere.overlay import save_png
    from animateanywhere.pipeline import Progress
    from animateanywhere.pose.draw import draw_pose
    from animateanywhere.pose.repairs import parse_step
    from animateanywhere.pose.strip import draw_strip
    from animateanywhere.prepared_pose import PoseRequest, prepare_pose

    for path, suffix in ((args.output, ".json"), (args.picture, ".mp4"), (args.strip, ".png")):
        if path:
            check_output_path(path, suffix)
    if args.output is None and args.video.suffix.lower() != ".json":
        raise InputError("no --output: say where the pose json of a video goes, such as --output pose.json")
    steps = tuple(parse_step(text) for text in args.repair)
    line = ProgressLine()
    prepared = prepare_pose(
        PoseRequest(args.video, args.detector, args.fps, steps, args.human, args.strength),
        on_progress=lambda done, total: line(Progress("pose", done, total, 0.0)),
        cancel=cancel,
    )
    sequence, checkup = prepared.sequence, prepared.checkup
    if args.output:
        sequence.to_json(args.output)
    if args.picture:
        frames = draw_pose(sequence, limited_size(*sequence.image_size, PICTURE_SIDE_PX), PoseStyle())
        write_video(VideoFrames(frames, sequence.fps), args.picture)
    if args.strip:
        save_png(draw_strip(checkup), args.strip, checkup.summary())
    for note in prepared.account.lines() if prepared.account else ():
        say(f"note: {note}")
    people = "1 person" if sequence.num_people == 1 else f"{sequence.num_people} people"
    found = f"{people}, seen in {sequence.coverage():.0%} of {sequence.num_frames} frames"
    print(f"{args.output or args.video}  {found}  {sequence.fps:g} fps")
    print("\n".join(checkup.lines()))


def run_camera(args: argparse.Namespace, cancel: CancelToken) -> None:
    from animateanywhere.clip_camera import estimate_clip_camera
    from animateanywhere.geometry.camera_files import save_camera_path
    from animateanywhere.geometry.camera_from_video import UNIT
    from animateanywhere.geometry.camera_plot import plot_estimate, write_plot
    from animateanywhere.geometry.camera_readout import numbers_line, numbers_table
    from animateanywhere.media import check_output_path
    from animateanywhere.pipeline import Progress

    for path, suffix in ((args.output, ".json"), (args.plot, ".png")):
        if path:
            check_output_path(path, suffix)
    if args.video.suffix.lower() == ".json":
        return tell_implied_camera(args)
    line = ProgressLine()
    found = estimate_clip_camera(
        args.video,
        detector=args.detector,
        method=args.method,
        focal_px=args.focal,
        fps=args.fps,
        max_frames=args.max_frames,
        on_progress=lambda phase, done, total: line(Progress(phase, done, total, 0.0)),
        cancel=cancel,
    )
    if found.path is None:
        raise InputError(f"{args.video.name}: cannot tell how the camera moves, {found.reason}")
    readout = found.readout()
    print(f"{found.verdict}, confidence {found.confidence:.2f}: {found.describe()}")
    print(numbers_line(readout, unit=UNIT))
    print(found.describe_focal())
    say(f"note: {found.reason}")
    if args.numbers:
        print(numbers_table(readout, found.path.fps, found.frame_confidence))
    if args.output:
        save_camera_path(args.output, found.path)
    if args.plot:
        write_plot(args.plot, plot_estimate(found, args.video.name))


def tell_implied_camera(args: argparse.Namespace) -> None:
    from animateanywhere.geometry.camera_files import save_camera_path
    from animateanywhere.geometry.camera_plot import plot_readout, write_plot
    from animateanywhere.geometry.camera_readout import numbers_line, numbers_table, read_out
    from animateanywhere.implied_camera import read_camera
    from animateanywhere.pose.sequence import PoseSequence

    told = read_camera(PoseSequence.from_json(args.video), reader=args.camera)
    chosen = told.named(args.variant) if args.variant else told.variants[0]
    readout = read_out(chosen.cameras)
    for note in told.notes:
        say(f"note: {note}")
    print_variants(told.variants, chosen)
    print(numbers_line(readout, unit=_IMPLIED_UNIT))
    if args.numbers:
        print(numbers_table(readout, chosen.cameras.fps))
    if args.output:
        save_camera_path(args.output, chosen.cameras)
    if args.plot:
        title = f"{args.video.name}: {chosen.sentence}, {chosen.probability:.0%}"
        write_plot(args.plot, plot_readout(readout, chosen.cameras.fps, title=title, unit=_IMPLIED_UNIT))


def print_variants(variants, chosen) -> None:
    """A line per camera that a pose allows, the most probable first."""
    for variant in variants:
        mark = "  <-" if variant is chosen else ""
        print(f"{variant.probability:5.0%}  --variant {shlex.quote(variant.name):<15} {variant.sentence}{mark}")


def run_epipolar(args: argparse.Namespace, cancel: CancelToken) -> None:
    from animateanywhere.epipolar_scene import OverlayRequest, overlay_of_files
    from animateanywhere.epipolar_view import readouts

    given = {} if args.thickness is None else {"thickness": args.thickness}
    size = None if args.size is None else two_numbers(args.size, "x", int, "size WIDTHxHEIGHT such as 1280x720")
    point = two_numbers(args.point, ",", float, "point X,Y such as 320,180")
    request = OverlayRequest(
        args.camera, args.frame_i, args.frame_j, point, args.video, format=args.format, size=size, **given
    )
    view = overlay_of_files(request, args.output)
    if view.note:
        say(f"note: {view.note}")
    facts = "  ".join(f"{name} {value}" for name, value in readouts(view).rows())
    a, b, c = view.line_px
    line = f"line {a:.5g} x + {b:.5g} y + {c:.5g} = 0" if view.line_px.any() else "no line"
    print(f"{args.output}  {facts}  {line}")


def two_numbers(text: str, separator: str, kind: type, expected: str) -> tuple:
    """Raises InputError unless `text` is two numbers."""
    try:
        first, second = (kind(part) for part in text.split(separator))
    except ValueError as error:
        raise InputError(f"{text!r}: expected a {expected}") from error
    return first, second


def run_doctor(args: argparse.Namespace, cancel: CancelToken) -> None:
    from animateanywhere.doctor import examine, report_json, report_lines

    findings = examine()
    print(report_json(findings) if args.json else "\n".join(report_lines(findings)))


class ProgressLine:
    """Progress on standard error: one line that rewrites itself on a terminal, a line per phase elsewhere."""

    def __init__(self):
        self._phase = ""

    def __call__(self, progress) -> None:
        if sys.stderr.isatty():
            remaining = "" if progress.remaining_s is None else f", {progress.remaining_s:.0f} s left"
            sys.stderr.write(f"\r\033[K{progress.phase} {progress.done}/{progress.total}{remaining}")
            if progress.done == progress.total:
                sys.stderr.write("\n")
            sys.stderr.flush()
        elif progress.phase != self._phase:
            say(progress.phase)
        self._phase = progress.phase


def say(line: str) -> None:
    print(line, file=sys.stderr)


COMMANDS = {
    "generate": run_generate,
    "preview": run_preview,
    "pose": run_pose,
    "camera": run_camera,
    "epipolar": run_epipolar,
    "doctor": run_doctor,
}


def main(argv: list[str] | None = None) -> int:
    """Exit codes: 0 done, 2 bad input (one line), 130 stopped."""
    args = build_parser().parse_args(argv)
    keep_freed_memory()
    cancel = CancelToken()
    signal.signal(signal.SIGINT, lambda *_: cancel.cancel())
    try:
        COMMANDS[args.command](args, cancel)
    except InputError as error:
        say(f"error: {error}")
        return 2
    except Cancelled:
        say("stopped")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
