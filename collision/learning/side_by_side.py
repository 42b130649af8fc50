"""Several heads trained at once: a process each, all with the features of this one.

What ``fit_head`` keeps of a training lies in its folder. So the processes give nothing back:
``fit_head``, called for the same place afterwards, finds the training at its end, or goes on with
it where a process was lost.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from collision.devices import device_of, num_cores
from collision.errors import CollisionError, ConfigError, Interrupted
from collision.features.interruption import GRACE, StopSignals
from collision.features.workers import end_with_parent
from collision.learning.datamodule import FeatureDataset
from collision.learning.fit import (
    Place,
    TrainingSetup,
    fit_head,
    how_to_go_on,
    num_threads,
    read_log,
)
from collision.learning.head import HeadModel, is_solved
from collision.learning.schedule import schedule_of

# A fork has the features without copying them. It cannot use the threads of OpenMP that its parent
# has started: each process computes on one.
_CONTEXT = multiprocessing.get_context("fork")


@dataclass(frozen=True, eq=False)
class Training:
    """One call of ``fit_head``; what follows from the training set is settled in its setup."""

    setup: TrainingSetup
    data: Mapping[str, FeatureDataset]
    place: Place
    initial: HeadModel | None = None
    prior: HeadModel | None = None

    @property
    def num_threads(self) -> int:
        """How many threads it would use alone."""
        train = self.data["train"]
        model = self.setup.model(train.bank.shape[-1])
        return num_threads(model, self.num_rows, train)

    @property
    def num_rows(self) -> int:
        """Examples of a batch."""
        return schedule_of(self.setup.trainer, len(self.data["train"])).batch_size

    @property
    def num_intervals(self) -> int:
        """Validations until its end, if it is not ended before."""
        return schedule_of(self.setup.trainer, len(self.data["train"])).num_intervals

    def run(self, parent: int) -> None:
        """Train, in a process of its own, until it or ``parent`` ends."""
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        # Ctrl-C and a scheduler's signals reach the whole group: the parent decides when to end.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
        threading.Thread(target=end_with_parent, args=(parent,), daemon=True).start()
        torch.set_num_threads(1)
        quiet = replace(self.place, console=Console(quiet=True, force_terminal=False))
        with suppress(CollisionError):  # the parent will meet the same, and tell it
            fit_head(self.setup, self.data, quiet, self.initial, self.prior)


def num_at_once(trainings: Sequence[Training], wanted: int | None, *, is_logged: bool) -> int:
    """Say how many trainings run at once: on a CPU, as many as cores where each needs but one.

    ConfigError: More are ``wanted`` where they cannot be.
    """
    to_train = [one for one in trainings if not is_solved(one.setup.head)]
    on_cpu = all(device_of(one.setup.trainer.accelerator).type == "cpu" for one in to_train)
    if wanted is not None and wanted > 1 and (is_logged or not on_cpu):
        where = "with a logger" if is_logged else "on a GPU"
        raise ConfigError(f"parallel={wanted}: {where}, heads are trained one after the other.")
    if len(to_train) < 2 or is_logged or not on_cpu:
        return 1
    if wanted is None:
        wanted = num_cores() if max(one.num_threads for one in to_train) == 1 else 1
    return min(wanted, len(to_train))


def train_ahead(trainings: Sequence[Training], at_once: int, console: Console) -> None:
    """Train so many at once, each in its folder. A process that fails leaves it to ``fit_head``.

    Interrupted: By a signal; all processes have ended.
    """
    waiting = [one for one in trainings if not is_solved(one.setup.head)][::-1]
    running: dict[int, tuple[BaseProcess, Training]] = {}
    ended: list[Training] = []
    started = list(waiting)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    total = sum(one.num_intervals for one in waiting)
    with (
        StopSignals() as stop,
        Progress(*columns, TimeRemainingColumn(), console=console, transient=True) as progress,
    ):
        task = progress.add_task(f"Training {len(waiting)} heads, {at_once} at once", total=total)
        while waiting or running:
            while waiting and len(running) < at_once and not stop.is_requested():
                training = waiting.pop()
                process = _CONTEXT.Process(target=training.run, args=(os.getpid(),))
                process.start()
                running[process.sentinel] = process, training
            for sentinel in wait(list(running), timeout=0.5):
                over, training = running.pop(sentinel)  # type: ignore[arg-type]
                over.join()
                ended.append(training)
            if stop.signal is not None:
                _end([process for process, _ in running.values()])
                raise Interrupted(stop.signal, how_to_go_on(trainings[0].place.folder))
            progress.update(task, completed=sum(_done(one, one in ended) for one in started))


def _done(training: Training, is_ended: bool) -> int:
    most = training.num_intervals
    rows = read_log(training.place.folder / "log.csv")
    return most if is_ended else min(len(rows), most)


def _end(processes: Sequence[BaseProcess]) -> None:
    """Let the batch in flight be done; what is still there then is killed."""
    for process in processes:
        process.terminate()
    for process in processes:
        process.join(GRACE)
        if process.is_alive():
            process.kill()
            process.join()
