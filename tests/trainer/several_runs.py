"""Runs one after another in each of several processes: `torchrun --nproc_per_node 2 -m tests.trainer.several_runs JOB.json`.

The job is a list of [settings, run folder, kind]. Kinds: `command` trains as the command line does; `resume` goes on;
`stop` is asked to stop at its second step; `sharded` spreads the weights (FSDP2), which accelerate offers for GPUs alone
and torch for CPUs too, so accelerate is told here; it comes last.
"""

import json
import sys
from pathlib import Path

from accelerate import Accelerator
from accelerate.utils import DistributedType, FullyShardedDataParallelPlugin

from animateanywhere.errors import Cancelled
from trainer.__main__ import main
from trainer.config import TrainConfig
from trainer.events import StepDone
from trainer.loop import Trainer
from trainer.processes import Processes, join_processes
from trainer.run_folder import RunFolder


def train(settings: Path, folder: RunFolder, kind: str) -> None:
    config = TrainConfig.from_json(settings.read_text())
    processes = sharded_processes(config) if kind == "sharded" else join_processes(config)
    folder.require(kind == "resume")
    if processes.is_main:
        folder.create(kind == "resume")
    processes.wait()
    trainer = Trainer(config, folder, kind == "resume", processes)
    if kind == "stop" and processes.is_main:
        write = trainer.events.write

        def stop_at_the_second_step(event) -> None:
            write(event)
            if isinstance(event, StepDone) and event.step == 2:
                folder.request_stop()

        trainer.events.write = stop_at_the_second_step
    try:
        trainer.train()
    except Cancelled:
        assert kind == "stop"
    else:
        assert kind != "stop", "nobody stopped"


def sharded_processes(config: TrainConfig) -> Processes:
    accelerator = Accelerator(cpu=True, mixed_precision=config.mixed_precision)
    plugin = FullyShardedDataParallelPlugin(fsdp_version=2, auto_wrap_policy="transformer_based_wrap")
    shared = accelerator.state._shared_state
    shared |= {"distributed_type": DistributedType.FSDP, "fsdp_plugin": plugin}
    return Processes(accelerator)


if __name__ == "__main__":
    for settings, folder, kind in json.loads(Path(sys.argv[1]).read_text()):
        if kind == "command":
            code = main(["train", "--config", settings, "--output", folder])
            assert code == 0, code
        else:
            train(Path(settings), RunFolder(Path(folder)), kind)
