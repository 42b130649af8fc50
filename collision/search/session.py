"""A process behind walls that runs proposed parts, and what we ask of it."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from torch import Tensor

import collision
from collision.checks import typed
from collision.config import Part, part
from collision.errors import CollisionError
from collision.option_groups import Limits
from collision.search.sandbox import Wall, environment
from collision.search.subject import FEATURE_DIM, Answer, Ask, Batch, Facts
from collision.search.verdicts import NotConformant
from collision.search.wire import BadAnswer, line_of, message_of, tensor_of, tensors_of

_START = 300.0  # s: loading torch, on a busy machine
_CHUNK = 1 << 20


class PartFailed(CollisionError):
    """A proposed part raised an error, broke a limit or gave what is no answer."""


class PartRaised(PartFailed, NotConformant):
    """It reports an error, and can be asked on."""


class Session:
    """A conversation with a process that runs parts; see ``opened``."""

    def __init__(self, process: subprocess.Popen[bytes], limits: Limits):
        self.process, self.limits = process, limits
        self.until = time.monotonic() + _START + limits.seconds
        self._rest = bytearray()

    def ask(self, message: Mapping[str, Any]) -> dict[str, Any]:
        """Send a message and wait for its answer.

        PartFailed: It reports an error (PartRaised), has ended, or takes too long or too much; once
        it is over, every further question fails.
        """
        try:
            self._send(line_of(message))
            answer = message_of(self._line())
        except BadAnswer as error:
            self.close()
            raise PartFailed(str(error)) from None
        if "error" in answer:
            raise PartRaised(_shown(answer["error"]))
        return answer

    def limit_from_now(self) -> None:
        """Let the time begin: Python and torch are loaded."""
        self.until = time.monotonic() + self.limits.seconds

    def build(self, head: Part, pooling: Part, feature_dim: int = FEATURE_DIM) -> Remote:
        """Make a head with its pooling in there."""
        made = {"head": asdict(head), "pooling": asdict(pooling), "feature_dim": feature_dim}
        return Remote(self, made, self.ask({"do": "build", **made}))

    def close(self) -> None:
        """End everything in there."""
        for pid in [*_children(self.process.pid), self.process.pid]:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()

    def _send(self, line: bytes) -> None:
        """Write while it reads; PartFailed: it does not."""
        pipe = self.process.stdin
        assert pipe is not None
        left = memoryview(line)
        with _watching(pipe, selectors.EVENT_WRITE) as watch:
            while left:
                self._wait(watch)
                try:
                    left = left[os.write(pipe.fileno(), left[:_CHUNK]) :]
                except BlockingIOError:
                    continue
                except BrokenPipeError:
                    raise self._ended() from None

    def _line(self) -> bytes:
        pipe = self.process.stdout
        assert pipe is not None
        most, begin = self.limits.answer << 20, 0
        with _watching(pipe, selectors.EVENT_READ) as watch:
            while (end := self._rest.find(b"\n", begin)) < 0:
                begin = len(self._rest)
                if begin > most:
                    self.close()
                    raise PartFailed(
                        f"One answer is more than {self.limits.answer} MiB: it was ended."
                    )
                self._wait(watch)
                try:
                    more = os.read(pipe.fileno(), _CHUNK)
                except BlockingIOError:
                    continue
                if not more:
                    raise self._ended()
                self._rest += more
        line = bytes(self._rest[:end])
        del self._rest[: end + 1]
        return line

    def _wait(self, watch: selectors.BaseSelector) -> None:
        if not watch.select(max(0.0, self.until - time.monotonic())):
            self.close()
            raise PartFailed(f"It took more than {self.limits.seconds:g} s: it was ended.")

    def _ended(self) -> PartFailed:
        """Say how the process came to its end."""
        self.close()
        code = self.process.returncode
        said = " ".join(_said(self.process).split())[-300:]
        if abs(code) in (
            signal.SIGXCPU,
            signal.SIGKILL,
            128 + signal.SIGXCPU,
            128 + signal.SIGKILL,
        ):
            return PartFailed("Its process was killed: it took too much time or memory.")
        return PartFailed(f"Its process ended with {code}{f': {said}' if said else ''}.")


class Remote:
    """A head with its pooling behind walls: a ``Subject``."""

    def __init__(self, session: Session, made: Mapping[str, Any], answer: Mapping[str, Any]):
        self.session, self._made = session, made
        self._handle = answer.get("handle")
        self.facts: Facts = typed(Facts, answer.get("facts"), where="facts", error=PartFailed)

    def _ask(self, **message: Any) -> dict[str, Any]:
        return self.session.ask({**message, "handle": self._handle})

    def run(self, batch: Batch, ask: Ask) -> Answer:
        """Give what is asked for."""
        answer = self._ask(do="run", batch=list(batch), ask=asdict(ask))
        with as_failure():
            found = answer.get("gradients")
            if not isinstance(found, dict):
                raise BadAnswer("It answers without gradients.")
            named = {n: None if one is None else tensor_of(one) for n, one in found.items()}
            return Answer(tensor_of(answer.get("outputs")), named)

    def state(self) -> dict[str, Tensor]:
        """Give all its weights and buffers."""
        with as_failure():
            return tensors_of(self._ask(do="state").get("state"))

    def loaded(self, state: dict[str, Tensor]) -> Remote:
        """Make another one, whose every number was .5, and load this state."""
        return Remote(self.session, self._made, self._ask(do="loaded", state=state))

    def pooled_by(self, pooling: str) -> Remote:
        """Make another one with this pooling."""
        made = {**self._made, "pooling": asdict(part("pooling", pooling))}
        return Remote(self.session, made, self.session.ask({"do": "build", **made}))

    def learned(self, batch: Batch, labels: Tensor, steps: int) -> Remote:
        """Make another one without noise and train it on labels ``[B]`` for so many steps."""
        asked = self._ask(do="learned", batch=list(batch), labels=labels, steps=steps)
        return Remote(self.session, self._made, asked)


@contextmanager
def opened(
    files: Mapping[str, str],
    wall: Wall | None,
    limits: Limits | None = None,
    *,
    load: Sequence[str] = ("torch._dynamo",),
) -> Iterator[Session]:
    """Start a process that can import ``files`` (text by path) before anything else.

    Modules to ``load`` are there before the limits are: what they take is not the part's.

    Without a ``wall`` it is a plain process, in which a part can do what you can: to see that walls
    matter, and for nothing else.

    PartFailed: It does not start, or the walls do not hold.
    """
    limits = limits or Limits()
    program = [sys.executable, "-I", "-c", _PROGRAM, str(Path(collision.__file__).parents[1])]
    command: Sequence[str] = program if wall is None else wall.command(program, limits)
    pipes: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    with tempfile.TemporaryDirectory() as place:  # behind walls there is another one
        variables = {} if wall else {**os.environ, **environment(), "TMPDIR": place}
        process = subprocess.Popen(command, env=variables, start_new_session=True, **pipes)
        yield from _conversation(process, limits, wall, {"files": dict(files), "load": list(load)})


def _conversation(
    process: subprocess.Popen[bytes],
    limits: Limits,
    wall: Wall | None,
    about: Mapping[str, Any],
) -> Iterator[Session]:
    session = Session(process, limits)
    kept = None if wall is None else asdict(limits)
    try:
        for pipe in (process.stdin, process.stdout):
            assert pipe is not None
            os.set_blocking(pipe.fileno(), False)
        session.ask({"do": "start", "limits": kept, **about})
        session.limit_from_now()
        yield session
    finally:
        session.close()
        for pipe in (process.stdin, process.stdout, process.stderr):
            with contextlib.suppress(OSError):
                assert pipe is not None
                pipe.close()


# The checkout's folder is no site folder; in a wheel it is one, and named twice.
_PROGRAM = (
    "import sys; sys.path.insert(0, sys.argv[1]); from collision.search.inside import main; main()"
)


@contextmanager
def _watching(pipe: Any, event: int) -> Iterator[selectors.BaseSelector]:
    with selectors.DefaultSelector() as watch:
        watch.register(pipe, event)
        yield watch


@contextmanager
def as_failure() -> Iterator[None]:
    """Tell what is no answer as the part's failure."""
    try:
        yield
    except BadAnswer as error:
        raise PartFailed(str(error)) from None


def _children(pid: int) -> list[int]:
    """List the children of a process: the first of a namespace takes all others with it."""
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except OSError:
        return []
    return [int(word) for word in text.split()]


def _said(process: subprocess.Popen[bytes]) -> str:
    """Read what a process that has ended said before its own words were silenced."""
    assert process.stderr is not None
    os.set_blocking(process.stderr.fileno(), False)
    with contextlib.suppress(OSError):
        return (process.stderr.read(_CHUNK) or b"").decode(errors="replace")
    return ""


def _shown(text: Any) -> str:
    """Give words from inside as one line of plain signs."""
    line = " ".join(str(text).split())
    return "".join(sign if sign.isprintable() else "?" for sign in line)[:500]
