"""The folder that a training writes to: settings, metrics, events for TensorBoard, checkpoint, plot."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

from ov3d_perception.errors import ConfigError

from ..checkpoint import Checkpoint, save_checkpoint
from ..config import TrainConfig, save_config
from ..report import loss_figure, read_metrics, save_figure
from ..whole_files import disk_errors, remove_leftovers, replace_link, write_whole, written_whole

CHECKPOINT_FILE = "checkpoint.pt"
METRICS_FILE = "metrics.jsonl"
CONFIG_FILE = "config.yaml"
PLOT_FILE = "loss.png"
EVENTS_FOLDER = "tensorboard"
LATEST_LINK = "latest"

_log = logging.getLogger(__name__)


class RunFolder:
    """Writes what comes of a run to `config.out`; `DataError` where the disk is full or refuses.

    metrics.jsonl is the record; the events repeat it. Raises `ConfigError` where the configuration wants these and
    TensorBoard is not installed.
    """

    def __init__(self, config: TrainConfig) -> None:
        self.path = Path(config.out)
        self._config = config
        self._events: Any = None
        self._open_events = _event_writer() if config.tensorboard else None

    def start(self, step: int) -> None:
        """Make the folder ready for a run that has done `step` steps: what was recorded after these is dropped."""
        with disk_errors(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
            remove_leftovers(self.path)
            with written_whole(self.path / CONFIG_FILE) as temporary:
                save_config(temporary, self._config)
            self._keep_metrics_before(step)
            if self._open_events is not None:
                self._events = self._open_events(str(self.path / EVENTS_FOLDER), purge_step=step + 1)
        link_latest(self.path)

    def add(self, record: dict[str, Any]) -> None:
        """Append one step's metrics."""
        path = self.path / METRICS_FILE
        with disk_errors(path):
            with path.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps(record) + "\n")
            if self._events is not None:
                for name, value in record.items():
                    if name != "step":
                        self._events.add_scalar(name, value, record["step"])

    def keep(self, checkpoint: Checkpoint) -> None:
        """Replace the checkpoint; what was recorded up to it is on the disk before."""
        if self._events is not None:
            with disk_errors(self.path / EVENTS_FOLDER):
                self._events.flush()
        save_checkpoint(self.path / CHECKPOINT_FILE, checkpoint)

    def plot(self) -> None:
        """Draw loss, agreement and learning rate."""
        with written_whole(self.path / PLOT_FILE) as temporary:
            save_figure(loss_figure(read_metrics(self.path / METRICS_FILE)), temporary, kind="png")

    def close(self) -> None:
        """Close the file of events."""
        if self._events is not None:
            with disk_errors(self.path / EVENTS_FOLDER):
                self._events.close()

    def _keep_metrics_before(self, step: int) -> None:
        path = self.path / METRICS_FILE
        kept = [record for record in read_metrics(path) if record["step"] <= step] if path.exists() and step else []
        write_whole(path, "".join(json.dumps(record) + "\n" for record in kept))


def link_latest(out: Path) -> None:
    """Let `latest` beside the run's folder point to it; where that cannot be, one line says so."""
    link = out.absolute().parent / LATEST_LINK
    if link == out.absolute():
        return
    try:
        if link.exists() and not link.is_symlink():
            raise FileExistsError(0, "something else has that name")
        replace_link(link, out.absolute().name)
    except OSError as error:
        _log.info("%s: no link to the last run here (%s)", link, error.strerror)


def _event_writer() -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise ConfigError(
            "tensorboard: the package is missing. pip install 'ov3d_trainer[tensorboard]', or set tensorboard=false."
        ) from error
    return SummaryWriter
