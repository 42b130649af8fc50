"""The processes that share an extraction: started by Lightning, by SLURM or by torchrun."""

from __future__ import annotations

import atexit
import functools
import os
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

import torch
import torch.distributed

from collision.devices import PRECISIONS, device_of
from collision.errors import CollisionError, ConfigError
from collision.features.clips import WindowRequest
from collision.features.tasks import local_number
from collision.types import Seconds

if TYPE_CHECKING:
    from lightning.fabric import Fabric

Report = TypeVar("Report")

_POLL: Seconds = 0.2
# One rank may have its share done long before the others: waiting for them is no fault.
_PATIENCE = timedelta(days=30)


class Ranks:
    """This process and its sisters; ``fabric`` gives device and precision.

    A process that is alone loads Lightning, which takes seconds, when ``fabric`` is first used: not
    at all where everything is in the cache.
    """

    def __init__(
        self,
        accelerator: str,
        precision: str,
        devices: int | str,
        num_nodes: int,
        *,
        is_task: bool = False,
    ):
        """Start the processes, or join those that a launcher started; arguments as Lightning's.

        ``is_task``: The work is shared already, and others that were started do theirs.
        """
        self.device = device_of(accelerator, "extraction")
        if precision not in PRECISIONS:
            raise ConfigError(f"precision={precision}: choose one of {', '.join(PRECISIONS)}.")
        num_devices = _count(devices, self.device)
        self._is_task = is_task and num_devices * num_nodes == 1
        if not self._is_task:
            _check_launcher(num_devices, num_nodes)
        self._asked = devices, num_nodes, precision
        self._group: Any = None
        self._parent = 0
        self.rank, self.world_size = 0, 1
        if num_devices * num_nodes > 1:
            self.rank, self.world_size = self.fabric.global_rank, self.fabric.world_size
            if self.fabric.local_rank and "LOCAL_RANK" in os.environ and not _launcher()[0]:
                self._parent = os.getppid()
                _end_after(self._parent)

    @functools.cached_property
    def fabric(self) -> Fabric:
        """Lightning's, launched; ConfigError where that cannot be."""
        from lightning.fabric import Fabric  # seconds
        from lightning.fabric.plugins.environments import LightningEnvironment
        from lightning.fabric.utilities.exceptions import MisconfigurationException

        devices, num_nodes, precision = self._asked
        is_alone = self._is_task or _is_one_task(num_nodes)
        chosen = self._own_device() if self._is_task else devices
        try:
            fabric = Fabric(
                accelerator=self.device.type,
                devices=chosen,
                num_nodes=num_nodes,
                precision=precision,  # type: ignore[arg-type]  # one of PRECISIONS
                # Within one SLURM task Lightning would wait for others: it is to start them itself.
                plugins=[LightningEnvironment()] if is_alone else [],
            )
            fabric.launch()
            if fabric.world_size > 1:
                self._group = torch.distributed.new_group(backend="gloo", timeout=_PATIENCE)
        except (ValueError, TypeError, RuntimeError, MisconfigurationException) as error:
            where = f"devices={devices} num_nodes={num_nodes}"
            raise ConfigError(f"Cannot start {where}: {error}") from error
        return fabric

    def _own_device(self) -> int | list[int]:
        """Name the GPU of this task: its launcher may show each task all of a machine."""
        is_gpu = self.device.type == "cuda"
        return [local_number() % torch.cuda.device_count()] if is_gpu else 1

    def lost_first(self) -> bool:
        """Whether the process that started this one has ended."""
        return bool(self._parent) and os.getppid() != self._parent

    def gather(self, report: Report, should_stop: Callable[[], bool]) -> list[Report]:
        """Give each process the reports of all, once all are done; only its own if it stops."""
        if self._group is None or should_stop():
            self.leave()
            return [report]
        try:
            arrived: Any = torch.distributed.barrier(group=self._group, async_op=True)
            while not arrived.is_completed():
                if should_stop():
                    self.leave()
                    return [report]
                time.sleep(_POLL)
            arrived.wait()
            reports: list[Any] = [None] * self.world_size
            torch.distributed.all_gather_object(reports, report, group=self._group)
        except RuntimeError as error:
            if should_stop():  # as did the other, a moment earlier
                return [report]
            raise CollisionError(
                "Another process of this extraction ended before its share was done. What was "
                "finished is kept; the same command goes on."
            ) from error
        return reports

    def leave(self) -> None:
        """Let the others know that this process will not come: those who wait for it stop."""
        if self._group is not None:
            torch.distributed.destroy_process_group(self._group)
            self._group = None


def rank_part(
    requests: Sequence[WindowRequest], rank: int, num_processes: int
) -> list[WindowRequest]:
    """Give one process its files, each with all its views.

    Parted, a file's views would be decoded twice, and one process would strike the other's failure
    off the list.
    """
    files = list(dict.fromkeys(request.path for request in requests))
    mine = set(files[rank::num_processes])
    return [request for request in requests if request.path in mine]


def _count(devices: int | str, device: torch.device) -> int:
    there = torch.cuda.device_count() if device.type == "cuda" else 1
    if devices == "auto":
        return there
    if not isinstance(devices, int) or devices < 1:
        raise ConfigError(f"devices={devices}: give a number from 1, or auto for all GPUs.")
    if device.type == "cuda" and devices > there:
        raise ConfigError(f"devices={devices}, but this machine has {there}: give devices=auto.")
    return devices


def _launcher() -> tuple[str, int]:
    """Name what started this command several times, and how often; empty where nothing did."""
    environment = os.environ
    if "TORCHELASTIC_RUN_ID" in environment:
        return "torchrun", int(environment.get("WORLD_SIZE", 1))
    is_interactive = environment.get("SLURM_JOB_NAME") in ("bash", "interactive")
    tasks = environment.get("SLURM_STEP_NUM_TASKS") or environment.get("SLURM_NTASKS")
    if tasks and not is_interactive and int(tasks) > 1:
        return "srun", int(tasks)
    return "", 1


def _check_launcher(devices: int, num_nodes: int) -> None:
    """Refuse a launcher that does not fit."""
    if not isinstance(num_nodes, int) or num_nodes < 1:
        raise ConfigError(f"num_nodes={num_nodes}: give a number from 1.")
    launcher, started = _launcher()
    option = "nproc-per-node" if launcher == "torchrun" else "ntasks-per-node"
    per_node = os.environ.get("SLURM_NTASKS_PER_NODE")
    if launcher and started != devices * num_nodes:
        raise ConfigError(
            f"{launcher} started this command {started} times, but devices={devices} "
            f"num_nodes={num_nodes} share the work among {devices * num_nodes}: each would do work "
            f"of others. Give {launcher} --{option}={devices}, or `collision extract` the devices "
            "and num_nodes that it started."
        )
    if launcher == "srun" and per_node != str(devices):
        raise ConfigError(
            f"devices={devices}, but srun has --ntasks-per-node={per_node or '(not given)'}. "
            f"Give srun --nodes={num_nodes} --ntasks-per-node={devices}."
        )
    if num_nodes > 1 and not launcher and "MASTER_ADDR" not in os.environ:
        raise ConfigError(
            f"num_nodes={num_nodes}, but nothing started this command on the other machines. "
            f"Run it by srun --nodes={num_nodes} --ntasks-per-node={devices}, or by torchrun."
        )


def _is_one_task(num_nodes: int) -> bool:
    return not _launcher()[0] and "SLURM_NTASKS" in os.environ and num_nodes == 1


@functools.cache
def _end_after(parent: int) -> None:
    """End no sooner than the first process, which Lightning kills if another fails before it."""

    def wait() -> None:
        deadline = time.monotonic() + 15
        while os.getppid() == parent and time.monotonic() < deadline:
            time.sleep(_POLL)

    atexit.register(wait)
