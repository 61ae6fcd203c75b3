"""The one loaded model. It is loaded in the background, so that the page answers at once, exchanged for another, or parked
while a training has the GPU. No Gradio."""

import gc
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from animateanywhere.config import ModelConfig
from animateanywhere.errors import InputError
from ui.outcomes import attempt

if TYPE_CHECKING:
    from animateanywhere.pipeline import AnimateAnywherePipeline


@dataclass(frozen=True)
class ShelfView:
    """Where loading stands. `model` is set once the state is `ready` or `parked`, `message` once it is `failed` or `parked`."""

    name: str
    state: Literal["idle", "loading", "ready", "failed", "parked"]
    """`parked`: the GPU was given to a training; the model is loaded again when it is asked for after that."""
    elapsed_s: float
    model: ModelConfig | None = None
    device: str = ""
    message: str = ""


class ModelShelf:
    """Holds one pipeline and hands it to whoever asks. Safe to use from any thread."""

    def __init__(self, name: str, log_file: Path):
        """`name`: 'mini', a model folder or a Hub id, as `load_pipeline` takes it."""
        self.name = name
        self._log_file = log_file
        self._lock = threading.Lock()
        self._loading = threading.Lock()
        self._finished = threading.Event()
        self._started = 0.0
        self._pipeline: AnimateAnywherePipeline | None = None
        self._parked: ModelConfig | None = None
        self._message = ""
        self._taken: Callable[[], str] = lambda: ""

    def ask_first(self, taken: Callable[[], str]) -> None:
        """Before a model is loaded, `taken` says in one line who else has the GPU; empty: nobody."""
        self._taken = taken

    def start_loading(self) -> None:
        """Begin to load in a thread of its own; may be called more than once."""
        with self._lock:
            if self._started:
                return
            self._started = time.monotonic()
        threading.Thread(target=self._load, name="model", daemon=True).start()

    def view(self) -> ShelfView:
        elapsed = time.monotonic() - self._started if self._started else 0.0
        if not self._finished.is_set():
            return ShelfView(self.name, "loading" if self._started else "idle", elapsed)
        pipeline, parked = self._pipeline, self._parked
        if pipeline is not None:
            return ShelfView(self.name, "ready", elapsed, pipeline.model, str(pipeline.device))
        if parked is not None:
            return ShelfView(self.name, "parked", elapsed, parked, message=self._message)
        return ShelfView(self.name, "failed", elapsed, message=self._message)

    def wait(self, timeout_s: float) -> bool:
        """True once loading has ended, in success or failure."""
        return self._finished.wait(timeout_s)

    def pipeline(self) -> "AnimateAnywherePipeline":
        """The loaded pipeline; waits for it. Raises InputError with the reason if the model cannot be loaded now."""
        self.start_loading()
        self._finished.wait()
        with self._loading:
            if self._pipeline is None and self._parked is not None:
                self._fill()
            pipeline = self._pipeline
        if pipeline is None:
            raise InputError(self._message)
        return pipeline

    def use(self, name: str) -> ModelConfig:
        """Load another model in place of this one, and wait for it.

        Raises InputError if it cannot be loaded; the model of before is loaded again then.
        """
        model = _described(name)  # what is no model is found before anything is given up
        self._finished.wait(0 if not self._started else None)
        with self._loading:
            before, self.name = self.name, name
            self._drop()
            self._fill()
            if self._pipeline is None and self._parked is None:
                reason, self.name = self._message, before
                self._fill()
                raise InputError(f"{reason}; {before} is in use as before")
        return model

    def park(self, message: str) -> None:
        """Give the memory back until the model is asked for again. Nothing may be running on it."""
        with self._loading:
            if self._pipeline is not None:
                self._parked, self._message = self._pipeline.model, message
                self._drop(keep_parked=True)

    def _load(self) -> None:
        with self._loading:
            self._fill()

    def _fill(self) -> None:
        """Load `name`, or note who has the GPU."""

        def load():
            from animateanywhere.pipeline import load_pipeline

            return load_pipeline(self.name)

        if not self._started:
            self._started = time.monotonic()
        reason = self._taken()
        if reason:
            outcome = attempt(lambda: _described(self.name), self._log_file)
            self._parked, self._message = outcome.result, reason if outcome.state == "done" else outcome.message
        else:
            outcome = attempt(load, self._log_file)
            self._pipeline, self._message, self._parked = outcome.result, outcome.message, None
        self._finished.set()

    def _drop(self, keep_parked: bool = False) -> None:
        """Let go of the networks and of the GPU's memory that they leave unused."""
        self._pipeline = None
        if not keep_parked:
            self._parked = None
        give_memory_back()


def give_memory_back() -> None:
    """Let go of what nothing refers to any more, on the GPU too."""
    import torch

    gc.collect()
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()


def _described(name: str) -> ModelConfig:
    """What a model says about itself. Raises InputError if there is none of that name."""
    from animateanywhere.model_folder import read_info, resolve_model  # the Hub's library reads the environment

    return read_info(resolve_model(name)).model


def needs_network(name: str) -> bool:
    """Whether a model of this name may have to be fetched: a Hub id, or a folder whose base or finished model is on the Hub."""
    if name == "mini":
        return False
    for folder in (Path(name), Path(name) / "pretrained_model"):
        try:
            settings = json.loads((folder / "animateanywhere.json").read_text(encoding="utf-8"))
            fine_tune = settings.get("fine_tune")
            if fine_tune is not None:
                return needs_network(fine_tune["finished_model"])
            return settings["model"]["base_model"] is not None
        except (OSError, ValueError, KeyError, TypeError):
            continue  # no settings to read: loading the model says what is wrong with it
    return True
