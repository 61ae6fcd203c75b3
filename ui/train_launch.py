"""A training and Generate's model on one GPU: whoever comes second waits, or gives way. No Gradio."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from trainer.config import TrainConfig
from ui.fragments import message
from ui.outcomes import Outcome, attempt
from ui.services import Services
from ui.train_history import read_settings
from ui.train_runs import living_run, run_folder

KIND = "training"


@dataclass(frozen=True)
class Told:
    """What is said about a start, and whether it has happened."""

    html: str
    started: bool = False


def begin(
    services: Services, owner: str, name: str, config: TrainConfig | None, start: Callable[[], object]
) -> Iterator[Told]:
    """Start a training by `start`. On a GPU: after the clip that is being made there, and with the model parked."""
    log_file = services.settings.log_file
    if not wants_gpu(config):
        yield _told(name, attempt(start, log_file))
        return

    def give_way(report, cancel) -> None:
        services.shelf.park(_taken_by(name))
        start()

    job_id = services.runner.submit(give_way, owner, KIND)
    for view in services.runner.watch(job_id):
        if view.finished:
            yield _told(name, Outcome(view.state, view.message))
        else:
            yield Told(message("info", "waiting for the clip that is being made on the GPU, then the training starts"))


def _told(name: str, outcome: Outcome) -> Told:
    if outcome.state != "done":
        return Told(message("error", outcome.message))
    return Told(message("good", f"{name} was started; it goes on when this page is closed"), started=True)


def wants_gpu(config: TrainConfig | None) -> bool:
    """Whether a training with these settings takes the GPU of this machine. Unknown settings might."""
    if config is not None and config.device == "cpu":
        return False
    import torch

    return torch.cuda.is_available()


def who_has_the_gpu(services: Services) -> str:
    """One line on the training that has it; empty: nobody."""
    view = living_run(services)
    if view is None or not wants_gpu(read_settings(run_folder(services, view.name))):
        return ""
    return _taken_by(view.name)


def _taken_by(name: str) -> str:
    return f"the training {name} has the GPU: stop it on the page Train, or wait until it ends."
