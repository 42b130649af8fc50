"""The page's server: a socket, a token where others reach it, and an end in good order."""

from __future__ import annotations

import errno
import os
import secrets
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import uvicorn

from collision.errors import CollisionError, ConfigError
from collision.serving.doors import is_loopback
from collision.serving.jobs import Jobs
from collision.serving.probe import Limits
from collision.serving.runs import Served
from collision.serving.site import Site
from collision.serving.worker import Work, Worker
from collision.types import Seconds

_GRACE = 3  # seconds that answers in flight have at the end


class Stopped(CollisionError):
    """A signal ended the page."""

    def __init__(self, signal_number: int):
        self.exit_code = 128 + signal_number
        super().__init__("The page has ended, and what visitors had sent is removed.")


def serve(
    runs: list[Served],
    folder: Path,
    work: tuple[Work, Any],
    where: tuple[str, int],
    limits: Limits,
    row: tuple[int, Seconds],
    on_start: Callable[[str], None] = lambda address: None,
) -> None:
    """Serve until a signal ends it; Stopped, then.

    Args:
        runs: What is offered.
        folder: For what visitors send.
        work: See ``Worker``: a function and its settings.
        where: Host and port; port 0 is any that is free.
        limits: Of clips.
        row: Jobs that are held, and seconds that finished ones are kept.
        on_start: Told the address, with the token that visitors need.

    Raises:
        ConfigError: Nothing can listen there.
    """
    host, _ = where
    token = None if is_loopback(host) else secrets.token_urlsafe(24)
    jobs = Jobs(*row)
    app = Site(runs, jobs, folder, limits, token).app()
    config = uvicorn.Config(
        app,
        log_level="error",
        server_header=False,
        timeout_keep_alive=5,
        timeout_graceful_shutdown=_GRACE,
        limit_concurrency=200,
    )
    with _listening(*where) as listener, _signals():
        worker = Worker(jobs, *work)
        worker.start()
        try:
            port = listener.getsockname()[1]
            name = f"[{host}]" if ":" in host else host
            shown = socket.gethostname() if host in ("0.0.0.0", "::") else name
            on_start(f"http://{shown}:{port}/" + (f"?token={token}" if token else ""))
            uvicorn.Server(config).run(sockets=[listener])
        finally:
            jobs.close()
            worker.join()


@contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family)
    except (OSError, UnicodeError) as error:
        number, said = getattr(error, "errno", None), getattr(error, "strerror", None)
        # Python puts the address into strerror, too, which the sentence names already.
        if isinstance(number, int) and number in errno.errorcode:
            said = os.strerror(number)
        what = said or str(error)
        raise ConfigError(
            f"host={host} port={port}: cannot listen there ({what}). Give another port, or port=0 "
            "for any that is free."
        ) from None
    with listener:
        yield listener


@contextmanager
def _signals() -> Iterator[None]:
    """Let SIGTERM raise, so that what visitors have sent is removed; uvicorn hands it on."""

    def stop(number: int, _: FrameType | None) -> NoReturn:
        raise Stopped(number)

    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, stop) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
