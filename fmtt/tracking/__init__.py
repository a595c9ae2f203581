"""A tracker that records a run in Weights & Biases, CSV and TensorBoard; a library is imported when it is used."""

from fmtt.tracking.hydra_records import DESCRIBED, hydra_choices, run_name, sweep_name
from fmtt.tracking.lightning_loggers import Csv, TensorBoard
from fmtt.tracking.logger import Logger, scalars
from fmtt.tracking.showcase import Showcase
from fmtt.tracking.tracker import Tracker
from fmtt.tracking.wandb_logger import Wandb

__all__ = [
    "DESCRIBED",
    "Csv",
    "Logger",
    "Showcase",
    "TensorBoard",
    "Tracker",
    "Wandb",
    "hydra_choices",
    "run_name",
    "scalars",
    "sweep_name",
]
