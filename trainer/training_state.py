"""What a checkpoint holds beside the model: weights as they are in training, the optimizers' memory, the place in the run."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from trainer.optimizers import StageOptimizer
from trainer.sharding import spread_like, whole
from trainer.training_clip import read_tensors, write_whole

WEIGHTS, MEMORY, POSITION = "weights.safetensors", "optimizer.safetensors", "position.json"


@dataclass(frozen=True)
class Position:
    """Where in the run a checkpoint was made."""

    stage_index: int
    stage: str
    step: int
    held_out_loss: float | None
    """Of the model in this checkpoint."""
    best_loss: float | None
    """The lowest of the stage so far."""

    @classmethod
    def read(cls, folder: Path) -> "Position":
        return cls(**json.loads((folder / POSITION).read_text()))


@dataclass(frozen=True)
class TrainingState:
    """Whole tensors on the CPU; empty in a process that does not write."""

    weights: dict[str, torch.Tensor]
    memory: dict[str, torch.Tensor]

    @classmethod
    def of(cls, parameters: dict[str, torch.nn.Parameter], optimizer: StageOptimizer, wanted: bool) -> "TrainingState":
        """As it is now. With FSDP all processes must ask, those that do not want it too."""
        weights = {}
        for name, parameter in parameters.items():
            gathered = whole(parameter.detach())
            if wanted:
                weights[name] = gathered.to("cpu", copy=True)
        memory = optimizer.state_tensors()
        return cls(weights, {name: tensor.cpu() for name, tensor in memory.items()} if wanted else {})

    def write(self, folder: Path, position: Position) -> None:
        """Raises InputError when the disk is full."""
        write_whole(folder / WEIGHTS, self.weights, {})
        write_whole(folder / MEMORY, self.memory, {})
        (folder / POSITION).write_text(json.dumps(asdict(position)))


@torch.no_grad()
def restore(folder: Path, parameters: dict[str, torch.nn.Parameter], optimizer: StageOptimizer) -> None:
    """Weights and memory of a checkpoint. Raises InputError if a file is damaged."""
    weights, _ = read_tensors(folder / WEIGHTS)
    for name, parameter in parameters.items():
        parameter.copy_(spread_like(parameter, weights[name]))
    optimizer.load_state_tensors(read_tensors(folder / MEMORY)[0])
