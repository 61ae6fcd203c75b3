"""The processes of one run, one for each device, through accelerate: who writes, who computes what, what is added up."""

import logging
import os
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from datetime import timedelta

import psutil
import torch
from accelerate import Accelerator, DistributedDataParallelKwargs, InitProcessGroupKwargs
from accelerate.utils import DistributedType

from animateanywhere.errors import InputError
from trainer.config import StageConfig, TrainConfig
from trainer.optimizers import StageOptimizer
from trainer.sharding import prepare_sharded
from trainer.shares import Share, shares_of
from trainer.stage_networks import StageNetworks

PATIENCE = timedelta(hours=6)
"""How long one process waits for the others: they may be rendering, or writing a large checkpoint."""
_SLOW_HALF = 3.0
"""Times as long as in 32 bits: half precision that a processor knows is quicker, one that it imitates was 4 to 90 times slower."""

log = logging.getLogger("trainer")


class Processes:
    """All processes of a run as one of them sees it. Alone, every method is for nothing and costs nothing."""

    def __init__(self, accelerator: Accelerator):
        self._accelerator = accelerator
        self.device: torch.device = accelerator.device
        self.index, self.count = accelerator.process_index, accelerator.num_processes
        self.is_main: bool = accelerator.is_main_process
        """True in the one process that writes into the run folder."""
        self.is_sharded: bool = accelerator.is_fsdp2
        """True if no process has all weights (FSDP2)."""

    @property
    def scaler(self) -> torch.amp.GradScaler | None:
        """Of fp16 gradients; None: they need none."""
        return self._accelerator.scaler

    def shares(self, stage: StageConfig) -> list[Share]:
        """What this process computes of every batch. Raises InputError if the batch does not divide."""
        return shares_of(stage.batch_size, stage.micro_batch_size, self.index, self.count)

    def part(self, total: int) -> range:
        """Which of `total` things to prepare are this process's."""
        return range(self.index * total // self.count, (self.index + 1) * total // self.count)

    @property
    def num_cores(self) -> int:
        """Processor cores for each process that shares this machine."""
        return max(1, (os.cpu_count() or 1) // int(os.environ.get("LOCAL_WORLD_SIZE", self.count)))

    def memory_gb(self) -> float:
        """GiB that this process holds: the most so far of its GPU, else of the machine now."""
        if self.device.type == "cuda":
            return torch.cuda.max_memory_allocated(self.device) / 2**30
        return psutil.Process().memory_info().rss / 2**30

    def wait(self) -> None:
        """Until all processes are here."""
        self._accelerator.wait_for_everyone()

    def add_up(self, values: list[float]) -> list[float]:
        """Sums over all processes, the same in each of them."""
        if self.count == 1:
            return values
        return self._summed(torch.tensor(values, dtype=torch.float64, device=self.device)).tolist()

    def any(self, flag: bool) -> bool:
        """True in every process if `flag` is in one."""
        return self.add_up([float(flag)])[0] > 0

    def add_up_tensors(self, tensors: list[torch.Tensor]) -> list[torch.Tensor]:
        """Sums over all processes, one tensor after another."""
        return [self._summed(tensor) for tensor in tensors] if self.count > 1 else tensors

    def _summed(self, tensor: torch.Tensor) -> torch.Tensor:
        return self._accelerator.reduce(tensor, reduction="sum")

    def prepare(
        self, networks: StageNetworks, parameters: dict[str, torch.nn.Parameter], optimizer: StageOptimizer
    ) -> tuple[Callable, dict[str, torch.nn.Parameter]]:
        """(`networks` to be called through, `parameters` as they are from now on).

        Called through it, they run in the run's precision, and their gradients come out as sums over processes.
        """
        names = {id(parameter): name for name, parameter in networks.named_parameters()}
        wanted = {key: names[id(parameter)] for key, parameter in parameters.items()}
        if self.is_sharded:
            call = prepare_sharded(self._accelerator, networks, optimizer)
        else:
            call = self._accelerator.prepare_model(networks)
        prepared = dict(networks.named_parameters())
        return call, {key: prepared[name] for key, name in wanted.items()}

    def release(self) -> None:
        """Let go of what was prepared."""
        self._accelerator.free_memory()

    def adding_up(self, networks, more_to_come: bool) -> AbstractContextManager:
        """Around one share's forward and backward pass: gradients are exchanged after the last share."""
        return self._accelerator.no_sync(networks) if more_to_come else nullcontext()

    def autocast(self) -> AbstractContextManager:
        """Where matrix products and convolutions run in the run's precision."""
        return self._accelerator.autocast()

    def backward(self, loss: torch.Tensor) -> None:
        """Add the gradient of a share's loss. Accelerate takes means over processes, shares add up: hence the factor."""
        self._accelerator.backward(loss * self.count)


def join_processes(config: TrainConfig) -> Processes:
    """Meet the other processes that a launcher started, or stay alone.

    Raises InputError if the device is not there or the launcher's settings are not what the run can do.
    """
    device = pick_device(config.device)
    _refuse_foreign_settings(config, device)
    handlers = [
        # Conditions are dropped now and then, and with them a whole network.
        DistributedDataParallelKwargs(find_unused_parameters=True, broadcast_buffers=False),
        InitProcessGroupKwargs(timeout=PATIENCE),
    ]
    on_cpu = device.type == "cpu"
    accelerator = Accelerator(cpu=on_cpu, mixed_precision=config.mixed_precision, kwargs_handlers=handlers)
    _refuse_unknown_kinds(accelerator)
    if config.device == "cuda" and accelerator.device.type != "cuda":
        raise InputError(f"device cuda, but accelerate was launched for {accelerator.device.type}: choose one of them")
    processes = Processes(accelerator)
    for stage in config.stages:
        processes.shares(stage)
    return processes


def pick_device(name: str) -> torch.device:
    """`auto`: CUDA where there is one. Raises InputError if CUDA is asked for and missing."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name == "cuda" and not torch.cuda.is_available():
        raise InputError("device cuda: this machine has no CUDA GPU that torch can use; choose cpu or auto")
    return torch.device(name)


def cost_of_half() -> float:
    """Time of a bf16 matrix product here over a 32-bit one's: below 1 where it knows bf16, 100 were seen where not."""
    times = {}
    for dtype in (torch.float32, torch.bfloat16):
        matrix, runs = torch.ones(256, 256, dtype=dtype), []
        for _ in range(4):  # the first one also chooses a kernel
            start = time.perf_counter()
            matrix @ matrix
            runs.append(time.perf_counter() - start)
        times[dtype] = min(runs)
    return times[torch.bfloat16] / times[torch.float32]


def warn_of_slow_half(config: TrainConfig, device: torch.device) -> None:
    """Say so before hours are lost, where the run's precision is one that the processor has to imitate."""
    if device.type == "cpu" and config.mixed_precision == "bf16" and (cost := cost_of_half()) > _SLOW_HALF:
        log.warning("mixed_precision bf16 takes this processor %.0f times as long as 32 bits: choose no", cost)


def _refuse_foreign_settings(config: TrainConfig, device: torch.device) -> None:
    """What a launcher says in the environment must not be other than what the run folder says."""
    wanted, launched = config.mixed_precision, os.environ.get("ACCELERATE_MIXED_PRECISION", "no")
    if launched not in ("no", wanted):
        raise InputError(
            f"accelerate was launched with mixed precision {launched}, the run has mixed_precision {wanted}: "
            "set it in the run's settings, where a resumption finds it again"
        )
    if wanted == "fp16" and device.type == "cpu":
        raise InputError("mixed_precision fp16 needs a CUDA GPU: choose bf16 or no")
    if os.environ.get("ACCELERATE_GRADIENT_ACCUMULATION_STEPS", "1") != "1":
        raise InputError(
            "accelerate was launched with gradient accumulation: leave it at 1 there and set the stage's micro_batch_size"
        )
    if os.environ.get("ACCELERATE_USE_DEEPSPEED", "false").lower() == "true":
        raise InputError(
            "DeepSpeed keeps the training state in pickled files of its own, which are not read here: choose FSDP with "
            "fsdp_version 2 in accelerate's settings"
        )


def _refuse_unknown_kinds(accelerator: Accelerator) -> None:
    kind = accelerator.distributed_type
    known = kind in (DistributedType.NO, DistributedType.MULTI_CPU, DistributedType.MULTI_GPU) or accelerator.is_fsdp2
    if not known:
        raise InputError(
            f"accelerate was launched for {kind.value}: expected one GPU, several, or FSDP with fsdp_version 2"
        )
    wants_shards = os.environ.get("ACCELERATE_USE_FSDP", "false").lower() == "true"
    if wants_shards and not accelerator.is_fsdp2:
        raise InputError("accelerate was launched with FSDP, which needs more than one GPU: launch it without")
