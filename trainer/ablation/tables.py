"""The tables as data: each row says in what it differs from the others. The paper's numbers are beside those it has."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from trainer.config import OptimizerConfig, StageConfig, TrainConfig

Start = Literal[
    "as it is",
    "background stands",
    "background moved",
    "motion learner anew",
    "copied branches anew",
    "lora branches anew",
]
"""What is done to the model that rows start from; see starts.py."""


@dataclass(frozen=True)
class Render:
    """How a row's clips are made; None: as the ablation's settings say."""

    steps: int | None = None
    guidance_scale: float | None = None


@dataclass(frozen=True)
class Row:
    """One line of a table."""

    name: str
    differs: Mapping[str, object] = field(default_factory=dict)
    """Fields of the common TrainConfig, nested ones with dots, and their values in this row."""
    stage: str = "joint"
    """What is trained: a row of trainer/stages.py; empty: nothing, the model is used as it starts."""
    start: Start = "background stands"
    render: Render = Render()
    beside: str = ""
    """A row of trainer/beside.py in place of a model."""
    paper: Mapping[str, float] = field(default_factory=dict)
    """The paper's numbers, by metric."""


@dataclass(frozen=True)
class Table:
    """Rows that are trained and measured alike."""

    key: str
    """Its name on the command line, and of its files."""
    title: str
    rows: tuple[Row, ...]
    reference: str
    """Name of the row that the others are compared with."""
    high_motion: bool = False
    """Measured on clips with much camera motion only."""
    note: str = ""
    """What a reader must know to compare it with the paper."""

    def row(self, name: str) -> Row:
        return next(row for row in self.rows if row.name == name)


def _paper(psnr: float, ssim: float) -> dict[str, float]:
    return {"psnr": psnr, "ssim": ssim}


EPIPOLAR = Table(
    "2",
    "Table II: the epipolar loss",
    (
        Row("off", {"epipolar.mode": "off"}, paper=_paper(15.83, 0.4823)),
        Row("1-M", {"epipolar.mode": "outside"}, paper=_paper(14.71, 0.4315)),
        Row("adaptive", {"epipolar.mode": "adaptive"}, paper=_paper(16.01, 0.5831)),
    ),
    reference="adaptive",
    high_motion=True,
    note="Measured on the test clips with much camera motion, chosen as in the paper (IV-C).",
)

MOTION = Table(
    "3",
    "Table III: where the background's motion comes from",
    (
        Row("explicit two-stage", stage="", start="background moved", paper=_paper(17.00, 0.5646)),
        Row("two-stage, geometry alone", stage="", start="as it is", beside="geometric"),
        Row("without BML", stage="joint-without-bml", start="motion learner anew", paper=_paper(16.86, 0.5676)),
        Row("BML", start="motion learner anew", paper=_paper(18.07, 0.5831)),
    ),
    reference="BML",
    note=(
        "The two trained rows start from a Background Motion Learner that does nothing yet, and see their background standing "
        "still. The explicit row is not trained further: the camera that the pose implies moves the background, and the model is "
        "shown that, which it must have been trained for, as mini is. Geometry alone has no model."
    ),
)

THRESHOLD = Table(
    "4",
    "Table IV: the threshold of the adaptive epipolar loss",
    tuple(
        Row(f"{percent} %", {"epipolar.mode": "adaptive", "epipolar.percentile": percent / 100}, paper=paper)
        for percent, paper in (
            (10, _paper(18.05, 0.5804)),
            (30, _paper(18.07, 0.5831)),
            (50, _paper(17.02, 0.5671)),
            (70, _paper(16.87, 0.5571)),
            (90, _paper(16.85, 0.5479)),
        )
    ),
    reference="30 %",
)

BRANCHES = Table(
    "branches",
    "Control branches: copies of the base's blocks, or LoRA on the base's own",
    (Row("copy", start="copied branches anew"), Row("lora", start="lora branches anew")),
    reference="copy",
    note="Both kinds start anew from the base's first blocks, beside a Background Motion Learner that does nothing yet.",
)

STEPS = Table(
    "steps",
    "Denoising steps, with and without guidance",
    tuple(
        Row(
            f"{steps} steps{', guidance off' if scale else ''}", stage="", start="as it is", render=Render(steps, scale)
        )
        for steps in (4, 8, 20)
        for scale in (None, 1.0)
    ),
    reference="20 steps",
    note="Nothing is trained: the model that the table starts from makes all clips.",
)

TABLES = {table.key: table for table in (EPIPOLAR, MOTION, THRESHOLD, BRANCHES, STEPS)}
"""By the name that the command line knows."""

OPTIMIZER = OptimizerConfig(
    name="muon", learning_rate=5e-4, matrix_learning_rate=0.0035, warmup_steps=5, decay_share=0.5
)
"""Half of what the preset `mini` takes for its joint stage: the rows go on from a model that is trained already."""


def train_config(row: Row, common: TrainConfig, steps: int, batch_size: int) -> TrainConfig:
    """The common settings with the row's stage and what differs in it."""
    config = dataclasses.replace(common, stages=(StageConfig(row.stage, steps, batch_size, optimizer=OPTIMIZER),))
    for path, value in row.differs.items():
        config = _changed(config, path.split("."), value)
    return config


def _changed(config, path: list[str], value):
    name, *rest = path
    return dataclasses.replace(config, **{name: _changed(getattr(config, name), rest, value) if rest else value})
