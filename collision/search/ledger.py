"""What the agents of a search have spent, shared by all its processes, and what they may still.

Lines of JSON in the search's folder: before a call what it may cost at most, after it what it did.
A process that is killed in between leaves the first, which then counts.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from collision.files import locked

FILE = "llm_calls.jsonl"


@dataclass(frozen=True)
class Spent:
    """Requests, tokens in and out, and money."""

    calls: int = 0
    tokens: int = 0
    cost: float = 0.0

    def __add__(self, other: Spent) -> Spent:
        return Spent(self.calls + other.calls, self.tokens + other.tokens, self.cost + other.cost)


@dataclass(frozen=True)
class Caps:
    """What may be spent at most; None is no cap.

    Attributes:
        patience: After so many failures in a row an agent is not called
        pause: for so many seconds.
    """

    calls: int | None = None
    tokens: int | None = None
    cost: float | None = None
    patience: int = 5
    pause: float = 300.0

    def of(self) -> dict[str, float]:
        """Give the caps there are."""
        own = {"calls": self.calls, "tokens": self.tokens, "cost": self.cost}
        return {name: value for name, value in own.items() if value is not None}


@dataclass(frozen=True)
class Leave:
    """Whether an agent may call.

    Attributes:
        ticket: To settle the call with; empty: it may not.
        retries: That still fit under the cap on calls.
        reached: The cap that is reached, such as ``max_calls=10``.
        is_news: No process has said so before.
        resting: It may not because it failed too often.
    """

    ticket: str = ""
    retries: int = 0
    reached: str = ""
    is_news: bool = False
    resting: bool = False


class Ledger:
    """The calls of all agents, in a file of the search's folder."""

    def __init__(self, folder: Path, caps: Caps, clock: Callable[[], float] = time.time):
        self.file, self.caps, self.clock = folder / FILE, caps, clock

    def ask_leave(self, agent: int, most: Spent, retries: int) -> Leave:
        """Reserve a call that may cost ``most``, or say why not.

        OSError: The folder cannot be written.
        """
        with locked(lock_of(self.file)):
            lines = list(read_lines(self.file))
            if self._is_resting(agent, lines):
                return Leave(resting=True)
            spent = _sum(lines)
            left = {name: cap - getattr(spent, name) for name, cap in self.caps.of().items()}
            short = [name for name, value in left.items() if getattr(most, name) > value]
            if short:
                reached = f"max_{short[0]}={self.caps.of()[short[0]]:g}"
                is_news = all(line.get("said") != reached for line in lines)
                if is_news:
                    append(self.file, {"said": reached, "at": self.clock()})
                return Leave(reached=reached, is_news=is_news)
            ticket = secrets.token_hex(8)
            self._write(ticket, agent, most)
            return Leave(ticket, min(retries, int(left.get("calls", retries + 1)) - 1))

    def settle(self, ticket: str, agent: int, spent: Spent, failed: bool) -> int:
        """Note what a call came to; give how many calls of this agent failed in a row."""
        with locked(lock_of(self.file)):
            self._write(ticket, agent, spent, failed)
            return self._streak(agent, list(read_lines(self.file)))[0]

    def left(self) -> dict[str, float]:
        """Give what is left under each cap."""
        spent = _sum(read_lines(self.file))
        return {name: max(0, cap - getattr(spent, name)) for name, cap in self.caps.of().items()}

    def spent(self) -> Spent:
        """Add up all calls."""
        return _sum(read_lines(self.file))

    def _is_resting(self, agent: int, lines: list[dict[str, Any]]) -> bool:
        streak, last = self._streak(agent, lines)
        return streak >= self.caps.patience and 0 <= self.clock() - last < self.caps.pause

    def _streak(self, agent: int, lines: list[dict[str, Any]]) -> tuple[int, float]:
        """Count an agent's last calls that failed, and give when the last one did."""
        count, last = 0, 0.0
        for line in lines:
            if line.get("agent") == agent and "failed" in line:
                count, last = (count + 1, line["at"]) if line["failed"] else (0, 0.0)
        return count, last

    def _write(self, ticket: str, agent: int, spent: Spent, failed: bool | None = None) -> None:
        line = {"call": ticket, "agent": agent, "at": self.clock(), **vars(spent)}
        append(self.file, line if failed is None else {**line, "failed": failed})


def _sum(lines: Iterator[dict[str, Any]] | list[dict[str, Any]]) -> Spent:
    last = {line["call"]: line for line in lines if "call" in line}
    own = (Spent(line["calls"], line["tokens"], line["cost"]) for line in last.values())
    return sum(own, Spent())


def lock_of(file: Path) -> Path:
    """Give the lock of a file of lines."""
    return file.with_name(f".{file.name}.lock")


def read_lines(file: Path) -> Iterator[dict[str, Any]]:
    """Read lines of JSON; one that a kill left half is not there."""
    try:
        text = file.read_bytes()
    except FileNotFoundError:
        return
    for line in text.splitlines():
        try:
            content = json.loads(line)
        except ValueError:
            continue
        if isinstance(content, dict):
            yield content


def append(file: Path, *lines: dict[str, Any]) -> None:
    """Add lines of JSON, under the file's lock, after the half of one that a kill may have left."""
    text = "".join(f"{json.dumps(line, allow_nan=False)}\n" for line in lines)
    with file.open("ab+") as there:
        if there.tell():
            there.seek(-1, 2)
            if there.read(1) != b"\n":
                text = f"\n{text}"
        there.write(text.encode())
