"""What training costs beyond the head's own work: beside a bare loop, and the study's way.

    python -m benchmarks.trainer [--videos 117] [--steps 16] [--dim 1280] [--runs 5]
    python -m benchmarks.trainer --profile gru

Random float16 features: 6 cuts of each training video, 2 of each of a fifth as many for validation.
One training is what `trainer` settles for so many rows, validated 6 times. `bare` is a plain loop
over the same model, batches, loss, optimizer, schedule, gradient clipping and validation, on as
many threads, that writes nothing; ours writes its checkpoints and its log. The ratio is the time of
the other one by that of ours, in turn; above 1 ours is faster.

`study` is how such heads are often trained: a file a cut, loaded item by item by a DataLoader with
2 workers, a plain loop, validation each epoch; over as many examples as ours, with the linear head.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from sklearn.metrics import average_precision_score
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from benchmarks.kit import Target, print_profile, print_targets
from collision.config import part
from collision.devices import memory_kept, threads_at_most
from collision.learning.datamodule import FeatureDataset, epoch_seed
from collision.learning.feature_datamodule import FeatureDataModule
from collision.learning.fit import Place, TrainingSetup, class_weights, fit_head, num_threads
from collision.learning.head import HeadModel, HeadOptions, is_solved, joint
from collision.learning.losses import Targets, build_loss
from collision.learning.schedule import schedule_of
from collision.metrics.nexar import average_precision
from collision.option_groups import TrainerOptions
from collision.types import Example, VideoRecord
from tests.kit.heads import HEADS, is_large

LEAST_OF_BARE, LEAST_OF_STUDY = 0.85, 10
CUTS, VALIDATIONS = 6, 6
NUM_WORKERS = 2  # of the study's way
TRAINER = TrainerOptions(validations=VALIDATIONS, accelerator="cpu")
Splits = Mapping[str, FeatureDataset]


def made(num_videos: int, cuts: int, num_steps: int, dim: int, seed: int) -> FeatureDataset:
    """Make cuts of videos, half of them positives that one feature tells; windows are shared."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(num_videos) % 2
    per_video = num_steps + cuts - 1
    bank = torch.randn(num_videos * per_video + 1, 1, dim, generator=generator)
    bank[:-1, 0, 0] += labels.repeat_interleave(per_video)
    bank[-1] = 0
    starts = torch.arange(num_videos)[:, None] * per_video + torch.arange(cuts)
    examples = [
        Example(str(video), 9.0, int(labels[video]), 0.5 * (1 + cut % 2))
        for video in range(num_videos)
        for cut in range(cuts)
    ]
    records = [
        VideoRecord(e.video, Path(e.video), e.label, "train", e.video, event_time=10.0)
        for e in examples
    ]
    return FeatureDataset(
        bank=bank.half(),
        window_index=starts.reshape(-1, 1) + torch.arange(num_steps),
        times=torch.linspace(-2, 0, num_steps).expand(len(examples), -1),
        example_of=torch.arange(len(examples)),
        examples=examples,
        records=records,
    )


def setup_of(head: str, prior: str | None = None) -> TrainingSetup:
    """Take a head with the other parts of the default recipe."""
    return TrainingSetup(
        part("head", head),
        part("pooling", "last"),
        part("loss", "bce"),
        part("optimizer", "adamw"),
        part("scheduler", "cosine"),
        TRAINER,
        HeadOptions(feature_dropout=0.5, change=True),
        prior=None if prior is None else part("head", prior),
    )


def trained(setup: TrainingSetup, data: Splits, prior: HeadModel | None = None) -> float:
    """Train as `train` does; the best validation mAP."""
    with tempfile.TemporaryDirectory() as folder:
        place = Place(Path(folder), 0, Console(quiet=True))
        return fit_head(setup, data, place, prior=prior).best_value


def bare(setup: TrainingSetup, data: Splits, prior: HeadModel | None = None) -> float:
    """Train in a plain loop; the last validation mAP."""
    torch.manual_seed(0)
    train, val, options = data["train"], data["val"], setup.trainer
    schedule = schedule_of(options, len(train))
    model = setup.model(train.bank.shape[-1])
    model.fit_standardiser(train.steps)
    if model.prior is not None and prior is not None:
        model.prior.load_state_dict(prior.state_dict())
    loss_of = build_loss(setup.loss)
    loss_of.fit(*class_weights(train, balanced=False))
    module = FeatureDataModule(train, val, schedule.batch_size, schedule.interval, seed=0)
    optimizer = setup.optimizer.build().build(model, schedule.total)
    length = schedule.total, module.steps_per_pass
    scheduler = setup.scheduler.build().build(optimizer, *length)
    loader, val_loader = module.train_dataloader(), module.val_dataloader()
    value = 0.0
    threads = num_threads(model, schedule.batch_size, train)
    with threads_at_most(threads), memory_kept():
        for interval in range(schedule.num_intervals):
            torch.manual_seed(epoch_seed(0, interval))
            loader.sampler.set_epoch(interval)
            for batch in loader:
                optimizer.zero_grad()
                loss = loss_of(model.outputs(*inputs(batch)), Targets.of(batch))
                loss.backward()
                nn.utils.clip_grad_norm_(model.parameters(), options.gradient_clip)
                optimizer.step()
                scheduler.step()
            value = validated(model.eval(), val_loader)
            model.train()
    return value


def inputs(batch: dict[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    return batch["features"], batch["times"], batch["mask"]


@torch.no_grad()
def validated(model: HeadModel, loader: DataLoader) -> float:
    """Give the mean of AP over horizons."""
    batches = [(joint(model.outputs(*inputs(b))).sigmoid(), b) for b in loader]
    scores = torch.cat([one for one, _ in batches])
    labels, horizons = (torch.cat([b[name] for _, b in batches]) for name in ("label", "horizon"))
    chosen = [horizons == horizon for horizon in horizons.unique()]
    return float(np.mean([average_precision(labels[rows], scores[rows]) for rows in chosen]))


class FileDataset(Dataset):
    """A file a cut; features, and the label by its name."""

    def __init__(self, folder: Path):
        self.paths = sorted(folder.glob("*.pt"))

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, number: int) -> tuple[Tensor, float]:
        path = self.paths[number]
        return torch.load(path, weights_only=True).float(), float(path.stem[-1])


def write_files(folder: Path, data: FeatureDataset) -> Path:
    folder.mkdir()
    for number in range(len(data)):
        batch = data[number]
        path = folder / f"{number:06d}_{int(batch['label'])}.pt"
        torch.save(batch["features"][0].clone(), path)
    return folder


def study(train: Path, val: Path, num_epochs: int, batch_size: int, dim: int) -> float:
    """Train a linear head file by file; the best average precision."""
    torch.manual_seed(0)
    loaders = [
        DataLoader(
            FileDataset(folder), batch_size, shuffle=folder == train, num_workers=NUM_WORKERS
        )
        for folder in (train, val)
    ]
    model, best = nn.Linear(dim, 1), 0.0
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    for _ in range(num_epochs):
        model.train()
        for features, labels in loaders[0]:
            optimizer.zero_grad()
            logits = model(features.mean(1)).squeeze(1)
            nn.functional.binary_cross_entropy_with_logits(logits, labels.float()).backward()
            optimizer.step()
        model.eval()
        with torch.no_grad():
            found = [(model(f.mean(1)).squeeze(1).sigmoid(), labels) for f, labels in loaders[1]]
        scores, labels = (torch.cat(column).numpy() for column in zip(*found, strict=True))
        best = max(best, float(average_precision_score(labels, scores)))
    return best


@dataclass(frozen=True)
class Timed:
    """Seconds of ours and of the other, run by run, after one of each that does not count."""

    ours: np.ndarray
    other: np.ndarray

    @classmethod
    def of(cls, ours: Callable[[], object], other: Callable[[], object], runs: int) -> Timed:
        taken: list[list[float]] = [[], []]
        for run in range(runs + 1):
            for place, work in enumerate((ours, other)):
                begin = time.perf_counter()
                work()
                if run:
                    taken[place].append(time.perf_counter() - begin)
        return cls(*map(np.array, taken))

    def target(self, name: str, least: float) -> Target:
        print(f"{name}: {np.median(self.ours):.3f} s, {np.median(self.other):.3f} s", flush=True)
        return Target(name, self.other / self.ours, least=least)


def heads() -> list[str]:
    """List the heads that are trained."""
    small = [name for name in HEADS if not is_large(name)]
    return [name for name in small if not is_solved(part("head", name))]


def measure(data: Splits, runs: int, names: list[str]) -> list[Target]:
    """Time each head in both ways, and the linear one in the study's."""
    targets = []
    for name in names:
        setup = setup_of(name)
        times = Timed.of(lambda s=setup: trained(s, data), lambda s=setup: bare(s, data), runs)
        target = times.target(f"{name}: bare loop / ours", LEAST_OF_BARE)
        targets.append(target)
        if not target.is_met:
            print_profile(f"{name}, ours", lambda s=setup: trained(s, data))
    if "linear" in names:
        targets.append(beside_the_study(data, runs))
    return targets


def beside_the_study(data: Splits, runs: int) -> Target:
    setup, train = setup_of("linear"), data["train"]
    schedule = schedule_of(TRAINER, len(train))
    epochs = max(1, round(schedule.total * schedule.batch_size / len(train)))
    setup = replace(setup, trainer=replace(TRAINER, validations=epochs))
    with tempfile.TemporaryDirectory() as folder:
        files = [write_files(Path(folder) / name, data[name]) for name in ("train", "val")]
        about = epochs, schedule.batch_size, train.bank.shape[-1]
        times = Timed.of(lambda: trained(setup, data), lambda: study(*files, *about), runs)
    target = times.target(f"linear: the study's way / ours ({epochs} epochs)", LEAST_OF_STUDY)
    if not target.is_met:
        print_profile("linear, ours beside the study's way", lambda: trained(setup, data))
    return target


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--videos", type=int, default=117, help="of training")
    parser.add_argument("--steps", type=int, default=16)
    parser.add_argument("--dim", type=int, default=1280)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--heads", nargs="+", default=heads())
    parser.add_argument("--profile", metavar="HEAD", help="instead: where its time goes")
    options = parser.parse_args()
    shape = options.steps, options.dim
    data = {
        "train": made(options.videos, CUTS, *shape, seed=0),
        "val": made(max(4, options.videos // 5), 2, *shape, seed=1),
    }
    if options.profile:
        setup = setup_of(options.profile)
        print_profile(options.profile, lambda: trained(setup, data), 40)
    else:
        print(f"{len(data['train'])} rows, {schedule_of(TRAINER, len(data['train']))}")
        print_targets(measure(data, options.runs, options.heads))


if __name__ == "__main__":
    main()
