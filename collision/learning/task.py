"""The LightningModule that trains a head on cached features."""

from __future__ import annotations

from typing import Any

from lightning import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor

from collision.learning.datamodule import Batch
from collision.learning.head import HeadModel, joint
from collision.learning.losses import Loss, Targets
from collision.learning.mixup import mixed
from collision.learning.optim import OptimizerFactory, build_optimizer
from collision.learning.schedulers import SchedulerFactory
from collision.metrics.torch_metric import NexarMAP

SMOOTHED = "val/nexar_map_smoothed"
SMOOTHED_OVER = 3  # validations: the value's own and those before it


class CollisionTask(LightningModule):
    """Loss, optimizer, scheduler and validation metrics around a head.

    Logs ``train/loss``, ``val/loss``, ``val/nexar_map``, its mean over the last validations and
    ``val/ap_<horizon>`` at each validation.
    """

    def __init__(
        self,
        model: HeadModel,
        loss: Loss,
        optimizer: OptimizerFactory,
        scheduler: SchedulerFactory,
        mixup: float = 0.0,
    ):
        """Put the parts together; ``mixup`` is alpha, 0 for none."""
        super().__init__()
        self.model, self.loss, self.mixup = model, loss, mixup
        self.optimizer_factory, self.scheduler_factory = optimizer, scheduler
        self.metric = NexarMAP()
        self.recent: list[float] = []
        self.losses: list[tuple[Tensor, int]] = []  # of this interval, each of so many examples

    def forward(self, batch: Batch) -> Tensor:
        """Give logits ``[B]``."""
        return self.model(batch["features"], batch["times"], batch["mask"])

    def outputs(self, batch: Batch) -> Tensor:
        """Give all outputs of the head, ``[B, O]``."""
        inputs = batch["features"], batch["times"], batch["mask"]
        return self.model.outputs(*inputs, batch.get("before"))

    def training_step(self, batch: Batch, batch_index: int) -> Tensor:
        """Give the loss of one batch."""
        if self.mixup:
            inputs, targets = mixed(batch, self.mixup)
            loss = self.loss(self.model.outputs(*inputs).repeat(2, 1), targets)
        else:
            loss = self.loss(self.outputs(batch), Targets.of(batch))
        self.losses.append((loss.detach(), len(batch["label"])))
        return loss

    def on_train_epoch_start(self) -> None:
        """Begin an interval."""
        self.losses = []

    def validation_step(self, batch: Batch, batch_index: int) -> None:
        """Collect probabilities."""
        outputs = self.outputs(batch)
        logits = joint(outputs)
        loss = self.loss(outputs, Targets.of(batch))
        self.log("val/loss", loss, batch_size=len(batch["label"]))
        labels, horizons = batch["label"].long(), batch["horizon"]
        self.metric.update(logits.float().sigmoid(), labels, horizons, batch["example"])

    def on_validation_epoch_end(self) -> None:
        """Log AP per horizon and their mean, and the loss of training up to here."""
        if self.losses:  # once: `log` takes longer than a step of a small head
            count = sum(size for _, size in self.losses)
            self.log("train/loss", sum(loss * size for loss, size in self.losses) / count)
        values = self.metric.compute()
        self.metric.reset()
        self.log_dict({f"val/{name}": value for name, value in values.items()})
        self.log("val_map", values["nexar_map"], prog_bar=True, logger=False)
        self.recent = [*self.recent, float(values["nexar_map"])][-SMOOTHED_OVER:]
        self.log(SMOOTHED, sum(self.recent) / len(self.recent))

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep what the smoothed value needs."""
        checkpoint["recent"] = self.recent

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Go on with it."""
        self.recent = list(checkpoint.get("recent", []))

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Step the schedule every batch."""
        total = int(self.trainer.estimated_stepping_batches)
        optimizer = build_optimizer(self.optimizer_factory, self.model, total)
        module: Any = self.trainer.datamodule  # type: ignore[attr-defined]
        scheduler = self.scheduler_factory.build(optimizer, total, module.steps_per_pass)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": scheduler, "interval": "step"},
        }
