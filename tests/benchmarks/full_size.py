"""Speed and memory of the 5B-scale model on one GPU: `python -m tests.benchmarks.full_size [--parts a,b] [--size small]`.

The weights are random, because the base's are no part of this repository: only speed, memory and whether the epipolar
loss's tiers agree are measured, never what a clip looks like. One clip of the paper's size (48 frames of 1360x768) in
bfloat16, without text encoder and optimizer. On an H200 all parts but `vae`, which has not run at full size, took 51
seconds.

Parts, in this order: `attention` (the epipolar loss alone, 8 heads), `build`, `denoise`, `train` (the Background Motion
Learner alone, gradient checkpointing "blocks") and `vae`. What fails, for want of memory for example, is one row of the
table, and the rest still runs. `--size small` tries the script itself: `mini`'s sizes, on a CPU too, there in float32
and against the dense tier in place of Triton's.
"""

import argparse
import gc
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import diffusers
import torch
from diffusers import AutoencoderKLCogVideoX, CogVideoXDDIMScheduler

from animateanywhere import architectures
from animateanywhere.architectures import Architecture, Components, add_control_branches
from animateanywhere.conditioning import Conditions, RawLatents, assemble, decode_latents, encode_frames, grid_of
from animateanywhere.config import EpipolarConfig, ModelConfig
from animateanywhere.denoiser import Denoiser
from animateanywhere.epipolar_loss import EpipolarConstraint, EpipolarTerm, draw_constraint
from animateanywhere.epipolar_rows import background_tokens
from animateanywhere.errors import InputError
from animateanywhere.geometry.camera_presets import camera_preset
from animateanywhere.losses import LossTerms, latent_loss, velocity_target
from animateanywhere.models.attention_probe import KeyLayout
from animateanywhere.models.background_motion_learner import background_motion_parameters
from animateanywhere.models.block_checkpointing import set_checkpointing
from animateanywhere.models.transformer import AnimateAnywhereTransformer3DModel
from tests.benchmarks.epipolar_loss import resident_mb, step

ROOT = Path(__file__).resolve().parents[2]
TIMESTEP = 500
"""Any but the first would do: speed does not depend on it."""
NUM_HEADS_ALONE, ENCODED_FRAMES = 8, 8


@dataclass(frozen=True)
class Size:
    """An architecture and the clip it works on, in frames and pixels."""

    architecture: Architecture
    num_frames: int
    width: int
    height: int


SIZES = {"full": Size(architectures.COGVIDEOX15_5B, 48, 1360, 768), "small": Size(architectures.MINI, 24, 168, 96)}


@dataclass(frozen=True)
class Measured:
    """Timed calls of one piece of work."""

    seconds: float  # mean per call
    peak_gb: float | None  # most memory allocated on the card at once, what lay there before included; None on a CPU
    result: Any  # of the last call


class Table:
    """Rows printed as soon as they are known."""

    def __init__(self):
        self.num_left_out = 0
        print("| part | what | s | peak GB | notes |\n|---|---|---|---|---|", flush=True)

    def row(self, part: str, what: str, measured: Measured | None = None, notes: str = "") -> None:
        seconds = peak = ""
        if measured is not None:
            seconds = f"{measured.seconds:.3f}"
            peak = "" if measured.peak_gb is None else f"{measured.peak_gb:.2f}"
        print(f"| {part} | {what} | {seconds} | {peak} | {notes} |", flush=True)

    @contextmanager
    def survives(self, part: str, what: str) -> Iterator[None]:
        """A part for which memory, Triton or a kernel is missing becomes a row: the others are still wanted."""
        try:
            yield
        except (InputError, ImportError, RuntimeError) as error:
            self.num_left_out += 1
            self.row(part, what, notes=f"left out: {one_line(error)}")


def one_line(error: Exception) -> str:
    """Kind and message of a failure, and the place in this repository that it passed last."""
    message = (str(error).strip().splitlines() or [""])[0]
    frames = [f for f in traceback.extract_tb(error.__traceback__) if Path(f.filename).is_relative_to(ROOT)]
    place = f" ({Path(frames[-1].filename).relative_to(ROOT)}:{frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {message[:200]}{place}"


class Bench:
    """One size on one device: its shapes, random inputs, and the networks once they are built."""

    def __init__(self, size: Size, device: torch.device):
        self.size, self.device = size, device
        self.on_gpu = device.type == "cuda"
        self.dtype = torch.bfloat16 if self.on_gpu else torch.float32
        self.tiers = ("chunked", "triton" if self.on_gpu else "dense")
        with torch.device("meta"):  # for their configurations: neither memory nor time
            transformer = AnimateAnywhereTransformer3DModel(**size.architecture.transformer)
            vae = AutoencoderKLCogVideoX(**size.architecture.vae)
        self.config = transformer.config
        self.grid = grid_of(vae, transformer, size.num_frames, size.width, size.height)
        frames, height, width = self.grid.latent_shape
        self.latent_shape = (1, frames, vae.config.latent_channels, height, width)
        _, rows, columns = self.grid.token_shape
        self.layout = KeyLayout(self.config.max_text_seq_length, self.grid.token_shape, rows * columns)
        self.denoiser: Denoiser | None = None

    @contextmanager
    def building(self) -> Iterator[None]:
        """Networks made in the with block begin on the device and in its dtype, not on the CPU in float32."""
        before = torch.get_default_dtype()
        torch.set_default_dtype(self.dtype)
        try:
            with torch.device(self.device):
                yield
        finally:
            torch.set_default_dtype(before)

    def random(self, *shape: int) -> torch.Tensor:
        return torch.randn(shape, device=self.device, dtype=self.dtype)

    def conditions(self) -> Conditions:
        """Random text, pose, person and background of one clip."""
        _, _, *rest = self.latent_shape
        raw = RawLatents(self.random(*self.latent_shape), self.random(1, 1, *rest), self.random(1, 1, *rest))
        text = self.random(1, self.config.max_text_seq_length, self.config.text_embed_dim)
        return assemble(raw, text, 1.0, ModelConfig(), self.config.patch_size_t)

    def constraint(self, tier: str) -> EpipolarConstraint:
        """One step's, for a camera that goes to the right past a person in the middle; every tier's rows are alike."""
        config = EpipolarConfig(tier=tier)
        frames, width, height = self.size.num_frames, self.size.width, self.size.height
        person = torch.zeros(frames, height, width, dtype=torch.bool)
        person[:, height // 5 :, width * 2 // 5 : width * 3 // 5] = True
        cameras = [camera_preset("truck_right", frames, (width, height))]
        backgrounds = [background_tokens(person, self.grid, config.person_margin)]
        generator, layers = torch.Generator().manual_seed(0), self.config.num_layers
        return draw_constraint(cameras, backgrounds, self.grid, layers, config, generator, self.device)

    def epipolar_alone(self, tier: str, num_heads: int) -> Callable[[], tuple[torch.Tensor, ...]]:
        """Work that gives one layer's loss and the gradients of its queries `[N, Q, E]` and keys `[N, K, E]`."""
        constraint, width = self.constraint(tier), self.config.attention_head_dim
        (rows,) = constraint.clips
        torch.manual_seed(0)
        query = self.random(num_heads, len(rows.tokens), width).requires_grad_(True)
        key = self.random(num_heads, self.layout.num_keys, width).requires_grad_(True)

        def work() -> tuple[torch.Tensor, ...]:
            return step(query, key, rows, self.layout, constraint.config), query.grad, key.grad

        return work

    def measured(self, work: Callable[[], Any], warm_ups: int = 1, repeats: int = 1) -> Measured:
        for _ in range(warm_ups):
            work()
        if self.on_gpu:
            torch.cuda.synchronize()
            torch.cuda.reset_peak_memory_stats()
        started = time.perf_counter()
        for _ in range(repeats):
            result = work()
        if self.on_gpu:
            torch.cuda.synchronize()
        seconds = (time.perf_counter() - started) / repeats
        return Measured(seconds, torch.cuda.max_memory_allocated() / 1e9 if self.on_gpu else None, result)

    def free_unused(self) -> None:
        gc.collect()
        if self.on_gpu:
            torch.cuda.empty_cache()


def relative_difference(value: torch.Tensor, reference: torch.Tensor) -> float:
    """Length of the difference over the reference's length."""
    value, reference = value.double(), reference.double()
    return float((value - reference).norm() / reference.norm())


def attention(bench: Bench, table: Table) -> None:
    """The epipolar loss of one layer alone, value and gradients, in every tier."""
    num_heads, found = min(NUM_HEADS_ALONE, bench.config.num_attention_heads), {}
    drawn = bench.measured(lambda: bench.constraint("chunked"), warm_ups=0)
    table.row("attention", "draw rows and their lines, once per step", drawn)
    num_rows = len(drawn.result.clips[0].tokens)
    sizes = f"{num_heads} heads, {num_rows} rows, {bench.layout.num_keys} keys"
    for tier in bench.tiers:
        with table.survives("attention", tier):
            seen = bench.measured(bench.epipolar_alone(tier, num_heads), repeats=3)
            found[tier] = seen.result
            table.row("attention", f"loss and gradients, {tier}", seen, f"{sizes}; loss {float(seen.result[0]):.6f}")
    if len(found) == len(bench.tiers):
        first, second = (found[tier] for tier in bench.tiers)
        apart = [f"{relative_difference(b, a):.1e}" for a, b in zip(first, second, strict=True)]
        notes = f"relative difference of the loss, its gradients by queries and by keys: {', '.join(apart)}"
        table.row("attention", " against ".join(reversed(bench.tiers)), notes=notes)


def build(bench: Bench, table: Table) -> None:
    """Transformer, both branches as copies and the Background Motion Learner, made where they will run."""
    architecture, resident_before = bench.size.architecture, resident_mb("VmRSS")
    with bench.building():
        made = bench.measured(lambda: AnimateAnywhereTransformer3DModel(**architecture.transformer), warm_ups=0)
    table.row("build", "transformer", made)
    # Tokenizer, text encoder and VAE have no part in what follows.
    components = Components(
        None, None, None, made.result, None, None, CogVideoXDDIMScheduler(**architectures.SCHEDULER)
    )
    added = (components, "copy", architecture.num_control_layers, architecture.lora_rank)
    with bench.building():
        seen = bench.measured(lambda: add_control_branches(*added), warm_ups=0)
    bench.denoiser = Denoiser(components.transformer, components.pose_controlnet, components.reference_net)
    networks = vars(bench.denoiser)
    for network in networks.values():
        network.eval().requires_grad_(False)
    kinds = {f"{str(p.dtype)[6:]} on {p.device}" for network in networks.values() for p in network.parameters()}
    # A network that was made on the CPU first would show here.
    host_gb = (resident_mb("VmHWM") - resident_before) / 1000
    notes = f"{', '.join(sorted(kinds))}; the process grew by {host_gb:.1f} GB at most"
    table.row("build", "control branches and Background Motion Learner", seen, notes)
    motion = sum(p.numel() for p in background_motion_parameters(components.transformer))
    counts = {name: sum(p.numel() for p in network.parameters()) for name, network in networks.items()}
    counts["transformer"] -= motion
    counts["background_motion_learner"] = motion
    told = ", ".join(f"{name} {count / 1e9:.3f}" for name, count in counts.items())
    table.row("build", "billions of parameters", notes=told)


def built(bench: Bench) -> Denoiser:
    """The networks. Raises InputError if there are none."""
    if bench.denoiser is None:
        raise InputError("full_size: building the networks failed, so there is nothing to run")
    return bench.denoiser


@torch.no_grad()
def denoise(bench: Bench, table: Table) -> None:
    """What one clip costs before its first step, and what a step costs without guidance."""
    denoiser, conditions = built(bench), bench.conditions()
    noisy, timestep = bench.random(*bench.latent_shape), torch.tensor([TIMESTEP], device=bench.device)
    control = bench.measured(lambda: denoiser.control_features(conditions))
    table.row("denoise", "control features, once per clip", control, f"latents {list(bench.latent_shape)}")
    call = bench.measured(lambda: denoiser.velocity(noisy, timestep, conditions, control.result), repeats=2)
    finite = bool(call.result.isfinite().all())
    table.row("denoise", "transformer call, features cached", call, f"batch 1; all numbers finite: {finite}")
    ratio = (control.seconds + call.seconds) / call.seconds
    table.row("denoise", "branches at every step against cached", notes=f"{ratio:.2f} times as long a step")


class TrainingStep:
    """Forward and backward of the latent loss, and of a constraint, with only the Background Motion Learner training."""

    def __init__(self, bench: Bench):
        self.denoiser, self.conditions = built(bench), bench.conditions()
        for network in vars(self.denoiser).values():
            set_checkpointing(network, "blocks")
        self.parameters = background_motion_parameters(self.denoiser.transformer)
        for parameter in self.parameters:
            parameter.requires_grad_(True)
        self.timestep = torch.tensor([TIMESTEP], device=bench.device)
        clean, noise = (bench.random(*bench.latent_shape) for _ in range(2))
        alphas_cumprod = CogVideoXDDIMScheduler(**architectures.SCHEDULER).alphas_cumprod
        noisy, self.velocity = velocity_target(clean, noise, alphas_cumprod, self.timestep)
        self.noisy = noisy.to(bench.dtype)

    def __call__(self, constraint: EpipolarConstraint | None = None) -> LossTerms:
        """One step's terms, detached; gradients are computed and dropped."""
        inputs = (self.noisy, self.timestep, self.conditions, self.denoiser.control_features(self.conditions))
        if constraint is None:
            predicted, epipolar = self.denoiser.velocity(*inputs), None
        else:
            predicted, by_layer = self.denoiser.velocity_and_attention_loss(*inputs, constraint)
            epipolar = EpipolarTerm.mean(by_layer).loss
        terms = LossTerms(latent=latent_loss(predicted, self.velocity), epipolar=epipolar)
        terms.total(0.0, EpipolarConfig.weight).backward()
        for parameter in self.parameters:
            parameter.grad = None
        return LossTerms(terms.latent.detach(), epipolar=None if epipolar is None else epipolar.detach())


def train(bench: Bench, table: Table) -> None:
    """A training step without and with the epipolar loss; control features are computed anew, as the trainer does."""
    training_step, epipolar = TrainingStep(bench), {}
    with table.survives("train", "step without epipolar loss"):
        plain = bench.measured(training_step)
        table.row("train", "step without epipolar loss", plain, f"latent loss {float(plain.result.latent):.4f}")
    for tier in bench.tiers:
        with table.survives("train", f"step with it, {tier}"):
            # The step is warm by now. Only the tier is not, and alone it takes a fraction of a step.
            bench.epipolar_alone(tier, bench.config.num_attention_heads)()
            constraint = bench.constraint(tier)
            seen = bench.measured(lambda c=constraint: training_step(c), warm_ups=0)
            epipolar[tier] = seen.result.epipolar
            notes = f"layers {', '.join(map(str, constraint.layers))}; epipolar loss {float(epipolar[tier]):.6f}"
            table.row("train", f"step with it, {tier}", seen, notes)
    if len(epipolar) == len(bench.tiers):
        first, second = epipolar.values()
        notes = f"relative difference of the epipolar loss {relative_difference(second, first):.1e}"
        table.row("train", " against ".join(reversed(bench.tiers)), notes=notes)


def vae(bench: Bench, table: Table) -> None:
    """The clip's latents to frames in tiles and whole, and a few frames to latents."""
    bench.denoiser = None
    bench.free_unused()  # for its memory
    with bench.building():
        network = AutoencoderKLCogVideoX(**bench.size.architecture.vae).eval().requires_grad_(False)
    latents = bench.random(*bench.latent_shape)
    frames = torch.randint(256, (1, ENCODED_FRAMES, bench.size.height, bench.size.width, 3), dtype=torch.uint8)
    decode_latents(network, latents[:, :2, :, :24, :24])  # a corner warms the kernels up

    decode = f"decode {bench.size.num_frames} frames"
    works = {
        f"{decode}, tiling and slicing": lambda: decode_latents(network, latents),
        f"encode {ENCODED_FRAMES} frames, whole": lambda: encode_frames(network, frames),
        f"{decode}, whole": lambda: decode_latents(network, latents),
    }
    for what, work in works.items():
        network.use_tiling = network.use_slicing = "tiling" in what
        with table.survives("vae", what):
            seen = bench.measured(work, warm_ups=0)
            table.row("vae", what, seen, f"{list(seen.result.shape)}")
        bench.free_unused()


PARTS = {part.__name__: part for part in (attention, build, denoise, train, vae)}


def chosen_parts(text: str) -> list[str]:
    """Part names from words between commas, in the order they run, with what they need. Raises InputError."""
    names = {name.strip() for name in text.split(",")}
    if unknown := sorted(names - PARTS.keys()):
        raise InputError(f"--parts {', '.join(unknown)!r}: expected some of {','.join(PARTS)}")
    if names & {"denoise", "train"}:
        names.add("build")
    return [name for name in PARTS if name in names]


def chosen_device(size: str) -> torch.device:
    """The GPU; a CPU only for the small size. Raises InputError."""
    if torch.cuda.is_available():
        return torch.device("cuda", torch.cuda.current_device())
    if size == "full":
        raise InputError("full_size needs a CUDA GPU, none was found: --size small tries the script itself on a CPU")
    return torch.device("cpu")


def header(bench: Bench) -> str:
    """The machine, the versions and the clip in one line."""
    name = "CPU"
    if bench.on_gpu:
        properties = torch.cuda.get_device_properties(bench.device)
        name = f"{properties.name}, {properties.total_memory / 1e9:.0f} GB"
    size, shape = bench.size, "x".join(map(str, bench.grid.token_shape))
    return (
        f"{name}; torch {torch.__version__}, diffusers {diffusers.__version__}, Python {sys.version.split()[0]}; "
        f"{size.num_frames} frames of {size.width}x{size.height}, {shape} tokens, {str(bench.dtype)[6:]}, random weights"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", default=",".join(PARTS), help="which to measure (default: %(default)s)")
    parser.add_argument("--size", choices=SIZES, default="full", help="small: `mini`'s sizes (default: %(default)s)")
    args = parser.parse_args()
    started = time.perf_counter()
    try:
        names, device = chosen_parts(args.parts), chosen_device(args.size)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    bench = Bench(SIZES[args.size], device)
    print(header(bench), flush=True)
    table = Table()
    torch.manual_seed(0)
    for name in names:
        with table.survives(name, "the whole part"):
            bench.free_unused()
            PARTS[name](bench, table)
    print(f"{time.perf_counter() - started:.0f} s altogether, {table.num_left_out} left out")
    return 1 if table.num_left_out else 0


if __name__ == "__main__":
    raise SystemExit(main())
