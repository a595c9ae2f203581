"""CSV and TensorBoard, with Lightning's loggers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fmtt.run_folder import Metrics
from fmtt.tracking.logger import scalars
from fmtt.tracking.showcase import Showcase


class Csv:
    """Lightning's CSVLogger in ``<folder>/csv``; results end the table in columns ``final/<name>``."""

    def start(self, config: dict[str, Any], folder: Path, earlier: Path) -> None:
        from lightning.pytorch.loggers import CSVLogger

        for old in ("metrics.csv", "hparams.yaml"):  # of a run that is resumed: all its rows are logged again
            (folder / "csv" / old).unlink(missing_ok=True)
        self._logger = CSVLogger(folder, name="", version="csv")
        self._logger.log_hyperparams(config)
        self._last = 0

    def log(self, row: Mapping[str, float], step: int) -> None:
        self._logger.log_metrics(dict(row), step)
        self._last = step

    def show(self, showcase: Showcase) -> None:
        """Do nothing: a table of numbers holds no pictures, and the run folder has them."""

    def finish(self, metrics: Metrics) -> None:
        self._logger.log_metrics({f"final/{name}": value for name, value in scalars(metrics).items()}, self._last)

    def close(self, failed: bool) -> None:
        if hasattr(self, "_logger"):
            self._logger.save()


class TensorBoard:
    """Lightning's TensorBoardLogger in ``<folder>/tensorboard``; results go to the HPARAMS tab as ``final/<name>``.

    TensorBoard's axis has whole numbers only, so the frames on the way are numbered.
    """

    def start(self, config: dict[str, Any], folder: Path, earlier: Path) -> None:
        from lightning.pytorch.loggers import TensorBoardLogger

        for old in (folder / "tensorboard").glob("events.out.tfevents.*"):
            old.unlink()  # of a run that is resumed: all its rows are logged again
        self._logger = TensorBoardLogger(folder, name="", version="tensorboard", default_hp_metric=False)
        self._logger.log_hyperparams(config)
        self._config, self._last = config, 0

    def log(self, row: Mapping[str, float], step: int) -> None:
        self._logger.log_metrics(dict(row), step)
        self._last = step

    def show(self, showcase: Showcase) -> None:
        import numpy as np
        from PIL import Image

        for name, path in showcase.pictures.items():
            with Image.open(path) as picture:
                pixels = np.asarray(picture.convert("RGB"))
            self._logger.experiment.add_image(name, pixels, self._last, dataformats="HWC")
        for name, frames in showcase.frames.items():
            for number, (_, pixels) in enumerate(frames):
                self._logger.experiment.add_image(name, pixels, number, dataformats="HWC")

    def finish(self, metrics: Metrics) -> None:
        results = {f"final/{name}": value for name, value in scalars(metrics).items()}
        self._logger.log_hyperparams(self._config, results, self._last)

    def close(self, failed: bool) -> None:
        if hasattr(self, "_logger"):
            self._logger.save()
            self._logger.finalize("failed" if failed else "success")
