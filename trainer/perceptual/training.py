"""Trains the perceptual network: it reads labels off pictures, and minds what is missing more than light and noise."""

import json
import math
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from animateanywhere.cancel import CancelToken
from animateanywhere.errors import InputError
from animateanywhere.perceptual import PerceptualNetwork
from trainer.perceptual.changes import harmless_change, relit
from trainer.perceptual.labelled import MAPS, PLACES, LabelledBatch, LabelledPicture, draw_batch, render_pictures
from trainer.perceptual.settings import PerceptualConfig
from trainer.training_clip import write_whole

PLAN = ((16, 16), (32, 32), (48, 48), (64, 64))
"""Channels of each convolution, block by block: 115,000 weights."""
_RATE, _WARMUP_STEPS, _MAX_GRAD_NORM = 3e-3, 50, 1.0
_HEAD_CHANNELS = 64
_POSITIVE_WEIGHT = {"hand": 4.0, "edge": 2.0}
"""Rare ones count more."""
_LABEL_WEIGHT = {"person": 1.0, "hand": 1.0, "edge": 1.0, "depth": 1.0, "joints": 3.0, "place": 0.1}
RANKING_WEIGHT = 0.3
RANKING_MARGIN = 0.3
"""Of the logarithm: damage is to count a third more than a harmless change of equal squared error."""
_FAINTEST = 1e-6
_BALANCED_OVER = 40
"""Pictures over which the blocks' strengths are measured."""
_REPORT_EVERY = 50


class LabelHead(nn.Module):
    """Reads label maps and the kind of place off all blocks' features, place by place: what surrounds a place must be in
    the features already. Thrown away after training."""

    def __init__(self, widths: list[int]):
        super().__init__()
        self.inputs = nn.ModuleList(nn.Conv2d(width, _HEAD_CHANNELS, 1) for width in widths)
        self.maps = nn.Sequential(
            nn.ReLU(), nn.Conv2d(_HEAD_CHANNELS, _HEAD_CHANNELS, 1), nn.ReLU(), nn.Conv2d(_HEAD_CHANNELS, len(MAPS), 1)
        )
        self.place = nn.Linear(widths[-1], len(PLACES))

    def forward(self, features: list[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        """Per block `[N, C, S/2^k, S/2^k]` -> maps `[N, L, S/2, S/2]` and places `[N, 4]`, logits but for the depth."""
        size, joint = features[1].shape[-2:], 0.0
        for convolution, seen in zip(self.inputs, features, strict=True):
            if seen.shape[-1] > size[-1]:
                seen = F.adaptive_avg_pool2d(seen, size)
            joint = joint + F.interpolate(convolution(seen), size, mode="bilinear")
        return self.maps(joint), self.place(features[-1].mean((2, 3)))


def untrained_network(seed: int, plan: tuple[tuple[int, ...], ...] = PLAN) -> PerceptualNetwork:
    """Random weights (He et al. 2015) that pass activations on at equal strength."""
    generator, blocks, channels = torch.Generator().manual_seed(seed), [], 3
    for widths in plan:
        blocks.append([])
        for width in widths:
            convolution = nn.Conv2d(channels, width, 3, padding=1)
            nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu", generator=generator)
            nn.init.zeros_(convolution.bias)
            blocks[-1].append(convolution)
            channels = width
    return PerceptualNetwork(blocks)


def label_losses(maps: torch.Tensor, places: torch.Tensor, batch: LabelledBatch) -> dict[str, torch.Tensor]:
    """One 0-d term for each kind of label, unweighted. `maps`, `places` as LabelHead gives them."""
    terms = {}
    for number, name in enumerate(MAPS[:4]):
        got, truth = maps[:, number], batch.maps[:, number]
        if name == "depth":
            terms[name] = F.l1_loss(got, truth)
        else:
            weight = torch.tensor(_POSITIVE_WEIGHT.get(name, 1.0))
            terms[name] = F.binary_cross_entropy_with_logits(got, truth, pos_weight=weight)
    terms["joints"] = F.binary_cross_entropy_with_logits(maps[:, 4:], batch.maps[:, 4:])
    terms["place"] = F.cross_entropy(places, batch.place)
    return terms


def ranking_loss(features: list[torch.Tensor]) -> torch.Tensor:
    """0-d; 0 once every block finds the damaged version farther from the whole one than the harmless version, by a margin.

    `features`: per block `[3 N, ...]` of N whole pictures, their harmless versions, their damaged versions, in this order.
    """
    terms = []
    for block in features:
        whole, harmless, damaged = block.chunk(3)
        little, much = (
            (other - whole).abs().mean((1, 2, 3)).clamp_min(_FAINTEST).log() for other in (harmless, damaged)
        )
        terms.append(F.relu(little - much + RANKING_MARGIN).mean())
    return torch.stack(terms).sum()


def train_network(
    pictures: list[LabelledPicture], config: PerceptualConfig, report: Callable[[str], None], cancel: CancelToken
) -> PerceptualNetwork:
    """A network fitted to `pictures`, frozen, its blocks of equal strength. `report` gets a line now and then.

    Raises Cancelled on request.
    """
    network = untrained_network(config.seed).requires_grad_(True)
    torch.manual_seed(config.seed)
    head = LabelHead([widths[-1] for widths in PLAN])
    for module in (network, head):
        module.to(memory_format=torch.channels_last)  # a third faster on a CPU
    parameters = [*network.parameters(), *head.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=_RATE, betas=(0.9, 0.99), weight_decay=1e-4)
    generator = torch.Generator().manual_seed(config.seed)
    started = time.monotonic()
    for step in range(1, config.num_steps + 1):
        cancel.raise_if_set()
        for group in optimizer.param_groups:
            group["lr"] = _rate(step, config.num_steps)
        terms = _losses(network, head, draw_batch(pictures, config.batch_size, config.crop_px, generator), generator)
        optimizer.zero_grad(set_to_none=True)
        torch.stack(list(terms.values())).sum().backward()
        torch.nn.utils.clip_grad_norm_(parameters, _MAX_GRAD_NORM)
        optimizer.step()
        if step % _REPORT_EVERY == 0 or step == config.num_steps:
            left = (time.monotonic() - started) / step * (config.num_steps - step) / 60
            losses = ", ".join(f"{name} {float(term.detach()):.3f}" for name, term in terms.items())
            report(f"step {step}/{config.num_steps}, {left:.0f} min left: {losses}")
    network.requires_grad_(False).to(memory_format=torch.contiguous_format)
    sample = draw_batch(pictures, _BALANCED_OVER, config.crop_px, generator)
    return balanced(network, sample.pictures * 2 - 1)


def _rate(step: int, num_steps: int) -> float:
    return _RATE * min(1.0, step / _WARMUP_STEPS) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * step / num_steps)))


def _losses(network, head, batch: LabelledBatch, generator: torch.Generator) -> dict[str, torch.Tensor]:
    whole, damaged = relit([batch.pictures, batch.damaged], generator)
    harmless = harmless_change(whole, (damaged - whole).square().mean((1, 2, 3)), generator)
    seen = torch.cat([whole, harmless, damaged]).contiguous(memory_format=torch.channels_last)
    features = network(seen * 2 - 1)
    labelled = [block[: 2 * len(whole)] for block in features]  # the damaged versions' labels are not known
    twice = LabelledBatch(whole, damaged, batch.maps.repeat(2, 1, 1, 1), batch.place.repeat(2))
    terms = {name: _LABEL_WEIGHT[name] * term for name, term in label_losses(*head(labelled), twice).items()}
    return terms | {"ranking": RANKING_WEIGHT * ranking_loss(features)}


@torch.no_grad()
def balanced(network: PerceptualNetwork, pictures: torch.Tensor) -> PerceptualNetwork:
    """The same network, each block's features scaled to a mean of 1 over `pictures` `[N, 3, H, W]` in [-1, 1].

    What follows a block undoes its scale, so every feature map keeps its pattern.
    """
    means = [block.mean().clamp_min(_FAINTEST) for block in network(pictures)]
    before = torch.tensor(1.0)
    for block, mean in zip(network.blocks, means, strict=True):
        block[0].weight.mul_(before)
        block[-1].weight.div_(mean)
        block[-1].bias.div_(mean)
        before = mean
    return network


def make_perceptual_network(
    output: Path, config: PerceptualConfig, report: Callable[[str], None], cancel: CancelToken
) -> None:
    """Render, train and write float16 weights to `output`, with what made them in the file's metadata.

    `report` gets a line now and then. Raises InputError if `output` is no .safetensors file or cannot be written,
    Cancelled on request.
    """
    if output.suffix != ".safetensors":
        raise InputError(f"{output}: expected a name that ends in .safetensors")
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot make {output.parent}: {error.strerror}; choose another --output") from error

    def rendered(done: int, of: int) -> None:
        cancel.raise_if_set()
        if done % _REPORT_EVERY == 0 or done == of:
            report(f"rendered {done}/{of} clips")

    pictures = render_pictures("train", config.num_clips, rendered)
    network = train_network(pictures, config, report, cancel)
    metadata = {"format": "pt", "made_by": "python -m trainer perceptual", "settings": json.dumps(vars(config))}
    write_whole(output, {name: t.half() for name, t in network.vgg_state_dict().items()}, metadata)
