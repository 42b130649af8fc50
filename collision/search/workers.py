"""The processes of a search that train: each takes a trial, trains it, tells, takes the next.

They end with their parent. SIGTERM ends one within its training, never while it writes to the
study: a journal's lock that nobody gives back keeps all others waiting.
"""

from __future__ import annotations

import multiprocessing
import os
import queue
import signal
import threading
import time
import traceback
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import FrameType
from typing import Any

from optuna.study import StudyDirection

from collision.config import Part, use_config_dirs
from collision.errors import CollisionError, Interrupted
from collision.features.interruption import GRACE
from collision.features.workers import end_with_parent
from collision.search.desk import Desk, Job, Terms
from collision.search.leases import Pulse, owner_of
from collision.search.proposing import Policy, Quest
from collision.search.reading import ERROR, REFUSED
from collision.search.space import Space
from collision.search.storage import lost, open_storage, open_study
from collision.search.trainers import MakeTrainer, Trainer
from collision.types import Seconds

SEARCHING, FINISHING, OVER = 0, 1, 2  # phases: ask and train; train what waits; end
_POLL: Seconds = 0.2
_LONGEST_CAUSE = 400
_CRASHED = "it ended by signal {}"


@dataclass(frozen=True)
class Orders:
    """What every worker of a command is given.

    Attributes:
        name: Of the study in ``storage``.
        folder: The search's own.
    """

    name: str
    storage: str | None
    folder: Path
    space: Space
    policy: Part | Policy
    directions: Sequence[StudyDirection]
    terms: Terms
    token: str
    make_trainer: MakeTrainer
    config_dirs: Sequence[Path] = ()


class Stopped(BaseException):
    """SIGTERM came while a trial was trained."""


class Worker:
    """The life of a process."""

    def __init__(self, number: int, orders: Orders, phase: Any):
        self._number, self._orders, self._phase = number, orders, phase
        self._is_training = self._is_stopped = False

    def run(self, parent: int, complaints: Any) -> None:
        """Work until the search is over, or ``parent`` is gone; say why it cannot go on."""
        signal.signal(signal.SIGTERM, self._on_term)
        # Ctrl-C and a scheduler's signals reach the whole group: the parent decides when to end.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
        threading.Thread(target=end_with_parent, args=(parent,), daemon=True).start()
        use_config_dirs(self._orders.config_dirs)
        try:
            self._work()
        except CollisionError as error:
            complaints.put((True, str(error)))
        except Stopped:
            pass
        except Exception as error:
            said = lost(error)
            complaints.put((bool(said), said or traceback.format_exc()))

    def _on_term(self, number: int, frame: FrameType | None) -> None:
        self._is_stopped = True
        if self._is_training:
            self._is_training = False
            raise Stopped

    def _work(self) -> None:
        orders = self._orders
        storage = open_storage(orders.storage, orders.folder)
        study = open_study(storage, orders.name, orders.directions)
        policy: Policy = orders.policy.build() if isinstance(orders.policy, Part) else orders.policy
        draw = len(study.get_trials(deepcopy=False))
        seed = orders.terms.seed
        quest = Quest(
            orders.space,
            orders.directions,
            seed,
            self._number,
            orders.folder,
            draw,
            orders.terms.budget,
        )
        study.sampler = policy.sampler(quest)
        train = orders.make_trainer()
        with Pulse(study, orders.terms.lease) as pulse:
            desk = Desk(study, orders.space, orders.terms, owner_of(orders.token), pulse)
            while not self._is_stopped and self._phase.value != OVER:
                begun = time.perf_counter()
                job = desk.take()
                if job is None and self._phase.value == SEARCHING:
                    job = desk.ask()
                if job is None:
                    time.sleep(_POLL)
                else:
                    self._do(desk, job, train, begun)

    def _do(self, desk: Desk, job: Job, train: Trainer, begun: float) -> None:
        try:
            self._is_training = True
            if self._is_stopped:  # it came in between
                raise Stopped
            outcome = train(job)
        except Interrupted:
            raise Stopped from None
        except CollisionError as error:
            self._is_training = False
            desk.failed(job, _shortened(str(error)), REFUSED)
        except (Exception, SystemExit) as error:
            self._is_training = False
            said = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
            desk.failed(job, _shortened(said), ERROR)
            _let_go(error)
        else:
            self._is_training = False
            beside = time.perf_counter() - begun - (outcome.seconds or 0.0)
            desk.bring(job, replace(outcome, overhead=beside))
        finally:
            self._is_training = False


def _let_go(error: BaseException) -> None:
    """Forget what a failed training held, on a GPU too."""
    error.__traceback__ = None
    with suppress(Exception):
        import torch

        if torch.cuda.is_initialized():
            torch.cuda.empty_cache()


def _shortened(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST_CAUSE else f"{line[: _LONGEST_CAUSE - 3]}..."


class Team:
    """A command's workers; those that are lost are replaced, a number of times."""

    def __init__(self, orders: Orders, count: int, context: BaseContext):
        self._orders, self._count, self._context = orders, count, context
        # Nobody asks before it is looked at how the search stands.
        self._phase: Any = context.Value("i", FINISHING, lock=False)  # type: ignore[attr-defined]
        self.complaints: Any = context.Queue()
        self._running: dict[int, BaseProcess] = {}
        self._num_started = 0

    def __enter__(self) -> Team:
        for number in range(self._count):
            self._start(number)
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def _start(self, number: int) -> None:
        worker = Worker(number, self._orders, self._phase)
        process = self._context.Process(  # type: ignore[attr-defined]
            target=worker.run, args=(os.getpid(), self.complaints)
        )
        process.start()
        self._running[number] = process
        self._num_started += 1

    @property
    def owners(self) -> list[str]:
        """Name those that are there, as their leases do."""
        return [owner_of(self._orders.token, process.pid) for process in self._running.values()]

    def tell(self, phase: int) -> None:
        """Say what is to be done from now on."""
        self._phase.value = phase

    def check(self) -> None:
        """Raise what a worker could not go on for: a CollisionError, or a RuntimeError."""
        try:
            is_sentence, text = self.complaints.get_nowait()
        except queue.Empty:
            return
        raise CollisionError(text) if is_sentence else RuntimeError(text)

    def lost(self) -> list[tuple[str, str]]:
        """Replace workers that were lost; give the name of each, and how it ended."""
        found = []
        for number, process in list(self._running.items()):
            if process.is_alive():
                continue
            process.join()
            code = process.exitcode or 0
            owner = owner_of(self._orders.token, process.pid)
            found.append((owner, _CRASHED.format(-code) if code < 0 else f"exit code {code}"))
            del self._running[number]
            if code:  # else it has said why
                self._start(number)
        return found

    def end(self) -> list[str]:
        """End all, and give their names; nobody, once it is done."""
        self.tell(OVER)
        owners = self.owners
        deadline = time.monotonic() + GRACE
        for process in self._running.values():
            if process.is_alive():
                process.terminate()
        for process in self._running.values():
            process.join(max(0.0, deadline - time.monotonic()))
            if process.is_alive():
                process.kill()
                process.join()
        self._running = {}
        return owners


def context_for(has_gpu: bool) -> BaseContext:
    """Fork, which shares what was loaded; from a process with a GPU that does not work."""
    return multiprocessing.get_context("spawn" if has_gpu else "fork")
