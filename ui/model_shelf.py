"""The one loaded model. It is loaded in the background, so that the page answers at once. No Gradio."""

import json
import threading
import time
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
    """Where loading stands. `model` is set once the state is `ready`, `message` once it is `failed`."""

    name: str
    state: Literal["idle", "loading", "ready", "failed"]
    elapsed_s: float
    model: ModelConfig | None = None
    device: str = ""
    message: str = ""


class ModelShelf:
    """Loads one pipeline once and hands it to whoever asks. Safe to use from any thread."""

    def __init__(self, name: str, log_file: Path):
        """`name`: 'mini', a model folder or a Hub id, as `load_pipeline` takes it."""
        self.name = name
        self._log_file = log_file
        self._lock = threading.Lock()
        self._finished = threading.Event()
        self._started = 0.0
        self._pipeline: AnimateAnywherePipeline | None = None
        self._message = ""

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
        if self._pipeline is None:
            return ShelfView(self.name, "failed", elapsed, message=self._message)
        return ShelfView(self.name, "ready", elapsed, self._pipeline.model, str(self._pipeline.device))

    def wait(self, timeout_s: float) -> bool:
        """True once loading has ended, in success or failure."""
        return self._finished.wait(timeout_s)

    def pipeline(self) -> "AnimateAnywherePipeline":
        """The loaded pipeline; waits for it. Raises InputError with the reason if the model cannot be loaded."""
        self.start_loading()
        self._finished.wait()
        if self._pipeline is None:
            raise InputError(self._message)
        return self._pipeline

    def _load(self) -> None:
        def load():
            from animateanywhere.pipeline import load_pipeline

            return load_pipeline(self.name)

        outcome = attempt(load, self._log_file)
        self._pipeline, self._message = outcome.result, outcome.message
        self._finished.set()


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
