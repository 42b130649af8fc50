"""Extraction in two processes."""

import multiprocessing
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from collision.errors import CollisionError, ConfigError
from collision.features.failures import read_failures
from collision.features.ranks import Ranks
from tests.kit.backbone import TinyBackbone
from tests.kit.extraction import Options, open_source, open_store, requests_of, write_videos

_FORK = multiprocessing.get_context("fork")
_LAUNCHERS = ("SLURM", "MASTER", "TORCHELASTIC", "LOCAL_RANK", "WORLD_SIZE", "RANK", "NODE_RANK")
_SCRIPT = """
import os, sys, time
from pathlib import Path
from rich.console import Console
from collision.errors import CollisionError
from collision.features.failures import check_failures
from tests.kit.backbone import TinyBackbone
from tests.kit.extraction import Options, open_source, requests_of

folder, rank = Path(sys.argv[1]), int(os.environ.get("LOCAL_RANK", 0))
source = open_source(folder, TinyBackbone())
report = source.extract(requests_of(folder), Options(num_workers=0), devices=2, progress=False)
print(f"rank {rank}: {report.num_windows} windows, {len(report.failures)} failed", flush=True)
try:
    check_failures(report.failures, False, Path("list"), Console())
except CollisionError as error:
    print(f"rank {rank}: {error}", flush=True)
    time.sleep(7 * (1 - rank))  # the first is busy for longer than Lightning looks away
    sys.exit(2)
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    for name in list(os.environ):
        if name.startswith(_LAUNCHERS):
            monkeypatch.delenv(name)
    write_videos(tmp_path, 4)
    return tmp_path


@pytest.mark.slow
def test_every_process_knows_the_failures_of_all(folder):
    """Lightning starts the script again for the second device, as it does with a command."""
    (folder / "1.mp4").write_bytes(b"damaged")
    (folder / "script.py").write_text(_SCRIPT)
    done = subprocess.run(
        [sys.executable, "script.py", str(folder)],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    for rank in (0, 1):
        assert f"rank {rank}: 27 windows, 1 failed" in done.stdout, done.stderr
        assert f"rank {rank}: 1 video(s) could not be read" in done.stdout
    assert done.returncode == 2
    assert [f.video for f in read_failures(open_store(folder, TinyBackbone()).folder)] == ["1"]


def _work(folder, rank, port, what):
    """Be one of two processes as torchrun starts them; the second does as it is told."""
    numbers = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": 2, "LOCAL_WORLD_SIZE": 2}
    place = {"GROUP_RANK": 0, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    os.environ |= {k: str(v) for k, v in {**numbers, **place, "TORCHELASTIC_RUN_ID": 1}.items()}
    torch.set_num_threads(1)
    backbone = TinyBackbone()
    requests = requests_of(folder)
    if rank == 1 and what != "go":
        number = signal.SIGTERM if what == "stop" else signal.SIGKILL
        requests = requests[:2]  # one batch for it: a second signal would end it at once
        backbone.register_forward_hook(lambda *_: os.kill(os.getpid(), number))
    options = Options(num_workers=0, batch_size=16)
    try:
        report = open_source(folder, backbone).extract(requests, options, devices=2, progress=False)
    except CollisionError as error:
        assert "the same command goes on" in str(error)
        os._exit(error.exit_code)
    os._exit(128 + report.signal if report.signal else report.num_windows)


@pytest.mark.parametrize(
    ("what", "codes"), [("go", [36, 36]), ("stop", [2, 143]), ("kill", [2, -signal.SIGKILL])]
)
def test_none_waits_for_a_process_that_has_ended(folder, what, codes):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    ranks = [_FORK.Process(target=_work, args=(folder, rank, port, what)) for rank in (0, 1)]
    for process in ranks:
        process.start()
    for process in ranks:
        process.join(300)
    assert [process.exitcode for process in ranks] == codes


@pytest.mark.parametrize(
    ("environment", "devices", "message"),
    [
        ({}, 0, "devices=0: give a number from 1, or auto"),
        ({}, -1, "devices=-1: give"),
        ({}, "two", "devices=two: give"),
        (
            {"SLURM_NTASKS": "2", "SLURM_NTASKS_PER_NODE": "2"},
            1,
            "srun started this command 2 times, but devices=1 .*--ntasks-per-node=1",
        ),
        ({"SLURM_NTASKS": "2"}, 2, r"devices=2, but srun has --ntasks-per-node=\(not given\)"),
        ({"TORCHELASTIC_RUN_ID": "x", "WORLD_SIZE": "4"}, 2, "torchrun started .* 4 times"),
    ],
)
def test_what_cannot_start_is_a_sentence(folder, monkeypatch, environment, devices, message):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match=message):
        Ranks("cpu", "32-true", devices, 1)


@pytest.mark.parametrize("visible", [1, 8])
def test_a_task_is_alone_however_many_there_are(folder, monkeypatch, visible):
    """Eight tasks of srun, a shard each: Lightning would refuse them, and all take one GPU."""
    for name, value in {"NTASKS": "8", "PROCID": "5", "LOCALID": "5", "NODEID": "0"}.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    monkeypatch.setenv("SLURM_NTASKS_PER_NODE", "8")
    ranks = Ranks("cpu", "32-true", 1, 1, is_task=True)
    assert (ranks.rank, ranks.world_size, ranks.fabric.world_size) == (0, 1, 1)
    monkeypatch.setattr("torch.cuda.device_count", lambda: visible)
    ranks.device = torch.device("cuda")
    assert ranks._own_device() == [5 % visible]


def test_more_machines_need_a_launcher(folder):
    with pytest.raises(ConfigError, match="srun --nodes=2"):
        Ranks("cpu", "32-true", 1, 2)


def test_one_slurm_task_starts_its_own_processes(folder, monkeypatch):
    """Under sbatch --gpus=8 with one task: Lightning alone would wait for seven others."""
    from lightning.fabric import Fabric

    for name, value in {"NTASKS": "1", "PROCID": "0", "LOCALID": "0", "NODEID": "0"}.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    monkeypatch.setenv("SLURM_NTASKS_PER_NODE", "1")
    seen = []
    monkeypatch.setattr(Fabric, "launch", lambda fabric: seen.append(fabric._strategy))
    monkeypatch.setattr("torch.distributed.new_group", lambda **_: None)
    Ranks("cpu", "32-true", 2, 1)
    assert not seen[0].cluster_environment.creates_processes_externally
