"""Does the perceptual network mind damage more than harmless changes? `python -m tests.benchmarks.perceptual_ranking`.

On pictures of the test split, in 64-pixel windows around the person: how often a damage is farther from the truth than a
harmless change of the same squared error, in per cent, for the shipped network (or NETWORK), for the same network before
training, for edges and for pixels. Squared error cannot tell them apart: 50 by construction. Exit code 1 if the network
is not right more often than the others in the mean over all pairs.
"""

import argparse

import torch

from animateanywhere.perceptual import STAGE_WORLD, load_perceptual_network
from tests.trainer.perceptual.damages import (
    DAMAGES,
    HARMLESS,
    gradient_distance,
    perceptual_distance,
    pixel_distance,
    right_order,
    trials,
)
from trainer.perceptual.labelled import render_pictures
from trainer.perceptual.training import balanced, untrained_network


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", nargs="?", default=STAGE_WORLD, help="as perceptual_network in a run's settings")
    parser.add_argument("--num-clips", type=int, default=60, help="clips of the test split, four pictures each")
    args = parser.parse_args()
    pictures = render_pictures("test", args.num_clips, lambda done, of: None)
    found = list(trials(pictures))
    windows = torch.stack([torch.from_numpy(trial.truth).permute(2, 0, 1) * 2 - 1 for trial in found[:64]])
    distances = {
        args.network: perceptual_distance(load_perceptual_network(args.network)),
        "before training": perceptual_distance(balanced(untrained_network(0), windows)),
        "edges": gradient_distance,
        "pixels": pixel_distance,
    }
    print(f"{len(pictures)} pictures, {len(found)} damages of {len(DAMAGES)} kinds against {', '.join(HARMLESS)}")
    print("| | " + " | ".join(DAMAGES) + " | mean |\n|---" * 1 + "|---" * (len(DAMAGES) + 1) + "|")
    means = {}
    for name, distance in distances.items():
        shares = right_order(distance, found)
        means[name] = sum(shares.values()) / len(shares)
        cells = [" ".join(f"{shares[damage, rival]:.0%}".rstrip("%") for rival in HARMLESS) for damage in DAMAGES]
        print(f"| {name} | " + " | ".join(cells) + f" | {means[name]:.1%} |", flush=True)
    return 0 if means[args.network] == max(means.values()) else 1


if __name__ == "__main__":
    raise SystemExit(main())
