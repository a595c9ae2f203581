"""One Tracker over Weights & Biases, CSV and TensorBoard; each heavy library is imported when its logger starts."""

from fmtt.tracking.exhibit import Exhibit
from fmtt.tracking.lightning_loggers import Csv, TensorBoard
from fmtt.tracking.logger import Logger, Metrics, scalars
from fmtt.tracking.run_folder import DESCRIBED, hydra_choices, read_yaml, run_name, sweep_name
from fmtt.tracking.tracker import Tracker
from fmtt.tracking.wandb_logger import Wandb

__all__ = [
    "DESCRIBED",
    "Csv",
    "Exhibit",
    "Logger",
    "Metrics",
    "TensorBoard",
    "Tracker",
    "Wandb",
    "hydra_choices",
    "read_yaml",
    "run_name",
    "scalars",
    "sweep_name",
]
