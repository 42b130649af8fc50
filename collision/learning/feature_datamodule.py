"""The LightningDataModule of cached features, which training alone needs."""

from __future__ import annotations

import torch
from lightning import LightningDataModule
from torch.utils.data import DataLoader

from collision.errors import ConfigError
from collision.learning.datamodule import Batch, EndlessShuffle, FeatureDataset, feature_loader


class FeatureDataModule(LightningDataModule):
    """Batches of cached features for training and validation, in an order that ``seed`` decides.

    What Lightning calls an epoch is the steps between two validations, whatever the set's size.
    Balanced, every pass over the set sees as many positives as negatives. By video, the cuts of one
    video come one after the other, so that they meet in a batch.
    """

    def __init__(
        self,
        train: FeatureDataset,
        val: FeatureDataset,
        batch_size: int,
        interval: int,
        seed: int,
        balanced: bool = False,
        by_video: bool = False,
    ):
        super().__init__()
        for option, value in (("batch_size", batch_size), ("interval", interval)):
            if value < 1:
                raise ConfigError(f"trainer.{option}={value}: give 1 or more.")
        self.train, self.val = train, val
        self.batch_size, self.interval, self.seed = batch_size, interval, seed
        self.balanced, self.by_video = balanced, by_video

    @property
    def steps_per_pass(self) -> float:
        """How many steps a pass over the training set takes; it need not be a whole number."""
        return self._order().pass_length / self.batch_size

    def train_dataloader(self) -> DataLoader:
        """Give the batches of one interval; the next one goes on where it ended."""
        return feature_loader(self.train, self.batch_size, self._order())

    def _order(self) -> EndlessShuffle:
        labels = self.train.labels[self.train.example_of]
        videos = self.train.videos[self.train.example_of] if self.by_video else None
        num_rows = self.interval * self.batch_size
        return EndlessShuffle(labels, num_rows, self.seed, self.balanced, videos)

    def val_dataloader(self) -> DataLoader:
        """Keep the order."""
        return feature_loader(self.val, self.batch_size)

    def transfer_batch_to_device(
        self, batch: Batch, device: torch.device, dataloader_idx: int
    ) -> Batch:
        """Move a batch as what it is, where Lightning looks for tensors within anything."""
        return {name: tensor.to(device, non_blocking=True) for name, tensor in batch.items()}
