"""What runs behind the walls: it answers questions about a part, a line of JSON each.

The limits are set here, after torch is loaded and before the part is: then no process and no
thread can be made any more, so that what this one may take is all that can be taken.
"""

from __future__ import annotations

import importlib
import math
import os
import resource
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import torch

import collision
import collision.learning
from collision.checks import typed
from collision.config import Part
from collision.errors import CollisionError, ConfigError
from collision.learning.losses import Targets
from collision.option_groups import Limits
from collision.search.backbone_subject import LocalBackbone
from collision.search.loss_subject import LocalLoss
from collision.search.subject import Ask, Batch, Local
from collision.search.wire import line_of, message_of, tensor_of, tensors_of

_FILES = 128  # open ones
_Made = TypeVar("_Made")


def main() -> None:
    """Answer until nobody asks any more."""
    requests, answers = _own_pipes()
    os.umask(0o077)
    serve = Service().answer
    for line in requests:
        try:
            answer = serve(message_of(line))
        except CollisionError as error:
            answer = {"error": str(error)}
        except MemoryError:
            answer = {"error": "It wants more memory than there is for it."}
        except Exception as error:
            answer = {"error": f"It raises {type(error).__name__}: {error}"}
        answers.write(line_of(answer))
        answers.flush()


def _own_pipes() -> tuple[BinaryIO, BinaryIO]:
    """Keep the pipes to ourselves: what a part prints is nobody's."""
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1):
        os.dup2(nothing, number)
    return requests, answers


class Service:
    """The parts that were made here, and what can be asked of them."""

    def __init__(self) -> None:
        self.made: dict[int, Any] = {}

    def answer(self, message: dict[str, Any]) -> dict[str, Any]:
        """Do what a message says."""
        doing: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
            "start": _start,
            "build": self._build,
            "run": self._run,
            "state": lambda m: {"state": self._named(m, Local).state()},
            "loaded": self._loaded,
            "learned": self._learned,
            "fit": self._fit,
            "build_loss": self._build_loss,
            "measure": self._measure,
            "build_backbone": lambda m: self._kept_backbone(LocalBackbone(Part(**m["part"]))),
            "backbone_facts": lambda m: _told(self._named(m, LocalBackbone)),
            "backbone_reloaded": self._reloaded,
            "backbone_changed": self._changed,
            "embed": self._embed,
        }
        return doing[message["do"]](message)

    def _named(self, message: dict[str, Any], kind: type[_Made]) -> _Made:
        found = self.made[message["handle"]]
        if not isinstance(found, kind):
            raise ConfigError("It is asked for what is of another kind.")
        return found

    def _numbered(self, subject: Any) -> int:
        handle = len(self.made)
        self.made[handle] = subject
        return handle

    def _kept(self, subject: Local) -> dict[str, Any]:
        facts = subject.facts
        return {
            "handle": self._numbered(subject),
            "facts": {
                "output_dim": facts.output_dim,
                "causal": facts.causal,
                "num_parameters": facts.num_parameters,
            },
        }

    def _build(self, message: dict[str, Any]) -> dict[str, Any]:
        head, pooling = Part(**message["head"]), Part(**message["pooling"])
        return self._kept(Local(head, pooling, message["feature_dim"]))

    def _run(self, message: dict[str, Any]) -> dict[str, Any]:
        found = self._named(message, Local).run(_batch(message), Ask(**message["ask"]))
        return {"outputs": found.outputs, "gradients": found.gradients}

    def _loaded(self, message: dict[str, Any]) -> dict[str, Any]:
        return self._kept(self._named(message, Local).loaded(tensors_of(message["state"])))

    def _learned(self, message: dict[str, Any]) -> dict[str, Any]:
        what = _batch(message), tensor_of(message["labels"]), message["steps"]
        return self._kept(self._named(message, Local).learned(*what))

    def _fit(self, message: dict[str, Any]) -> dict[str, Any]:
        from collision.search.lessons import Fitting

        fitting = Fitting(message["setup"], message["train"])
        model, seconds = fitting.fit(message["seed"], Path(os.environ["TMPDIR"]))
        subject = Local.__new__(Local)
        subject.head, subject.pooling = fitting.setup.head, fitting.setup.pooling
        subject.model, subject.feature_dim = model.eval(), model.feature_dim
        return {**self._kept(subject), "seconds": seconds}

    def _build_loss(self, message: dict[str, Any]) -> dict[str, Any]:
        fit = message["fit"]
        loss = LocalLoss(Part(**message["part"]), None if fit is None else (fit[0], fit[1]))
        return {"handle": self._numbered(loss), "facts": asdict(loss.facts)}

    def _measure(self, message: dict[str, Any]) -> dict[str, Any]:
        targets = Targets(**tensors_of(message["targets"]))
        outputs = tensor_of(message["outputs"])
        found = self._named(message, LocalLoss).measure(outputs, targets, message["how"])
        return found._asdict()

    def _kept_backbone(self, backbone: LocalBackbone) -> dict[str, Any]:
        return {"handle": self._numbered(backbone), **_told(backbone)}

    def _reloaded(self, message: dict[str, Any]) -> dict[str, Any]:
        return self._kept_backbone(self._named(message, LocalBackbone).reloaded())

    def _changed(self, message: dict[str, Any]) -> dict[str, Any]:
        other = self._named(message, LocalBackbone).changed(**message["options"])
        return {"refused": True} if other is None else self._kept_backbone(other)

    def _embed(self, message: dict[str, Any]) -> dict[str, Any]:
        frames = tensor_of(message["frames"])
        return {"features": self._named(message, LocalBackbone).embed(frames)}


def _told(backbone: LocalBackbone) -> dict[str, Any]:
    return {"facts": asdict(backbone.facts)}


def _batch(message: dict[str, Any]) -> Batch:
    return Batch(*(tensor_of(one) for one in message["batch"]))


def _start(message: dict[str, Any]) -> dict[str, Any]:
    """Load what is needed, close the door, and only then let the part's files be found."""
    torch.set_num_threads(1)
    torch.nn.Linear(2, 2)(torch.ones(1, 2)).sum().backward()
    # Now: once the door is closed they would take from what the part may use.
    for module in message["load"]:
        importlib.import_module(module)
    if message["limits"] is not None:
        _close(typed(Limits, message["limits"]))
    place = Path(os.environ["TMPDIR"]) / f"part_{os.getpid()}"
    for name, text in message["files"].items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text(text, encoding="utf-8")
    sys.path.insert(0, str(place))
    collision.__path__.insert(0, str(place))  # collision.temporal is found in both
    collision.learning.__path__.insert(0, str(place / "collision" / "learning"))
    return {"started": True}


def _close(limits: Limits) -> None:
    """Set the limits for good, and see whether the walls hold."""
    status = Path("/proc/self/status").read_text()
    in_use = int(status.split("VmSize:")[1].split()[0]) << 10
    used = time.process_time()
    hard: dict[int, int] = {
        resource.RLIMIT_AS: in_use + int(limits.memory * 2**30),
        resource.RLIMIT_CPU: math.ceil(used + limits.seconds),
        resource.RLIMIT_FSIZE: limits.disk << 20,
        resource.RLIMIT_NOFILE: _FILES,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_NPROC: 1,
    }
    for which, value in hard.items():
        resource.setrlimit(which, (value, value))
    if holes := _holes():
        raise CollisionError(f"The sandbox does not hold: {', '.join(holes)}.")


def _holes() -> list[str]:
    """Try what must not work."""
    found = []
    try:
        child = os.fork()
        if child == 0:
            os._exit(0)
        os.waitpid(child, 0)
        found.append("a process can be made")
    except OSError:
        pass
    if [name for _, name in socket.if_nameindex() if name != "lo"]:
        found.append("there is a network")
    if any(os.access(path, os.W_OK) for path in ("/", "/usr", sys.prefix, collision.__path__[0])):
        found.append("what is shown can be written")
    numbers = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]
    if any(number > 2 for number in numbers):  # 1 and 2: itself, and who started it
        found.append("there are other processes")
    capable = Path("/proc/self/status").read_text().split("CapEff:")[1].split()[0]
    if int(capable, 16):
        found.append("it has capabilities")
    return found
