"""An agent's own: its ideas that wait for a trial, and a log of all that was said.

Both are lines of JSON in the search's folder; several processes may ask for one agent. An idea is
taken for one trial. Only if that trial ended before it was given its point, as where its process
was killed at that moment, the idea is there again.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from collision.files import locked
from collision.search.ledger import append, lock_of, read_lines


@dataclass(frozen=True)
class Kept:
    """An idea as it is kept: under the space's own names.

    Attributes:
        hidden: Its rationale uses neutral names.
        trial: The one that took it; None: it waits.
    """

    id: str
    values: Mapping[str, str | float]
    rationale: str
    parents: tuple[int, ...]
    hidden: bool
    trial: int | None = None


class Agent:
    """One of those that propose; ``folder`` is the search's."""

    def __init__(self, folder: Path, number: int):
        self.number, self.name = number, f"agent_{number}"
        self.log_file = folder / f"{self.name}.jsonl"
        self.ideas_file = folder / f"{self.name}_ideas.jsonl"

    def keep(self, ideas: Sequence[Mapping[str, Any]], hidden: bool) -> None:
        """Let ideas (values, rationale, parents) wait for this agent's trials."""
        lines = [{"idea": secrets.token_hex(8), "hidden": hidden, **one} for one in ideas]
        with locked(lock_of(self.ideas_file)):
            append(self.ideas_file, *lines)

    def take(self, trial: int, pointless: Collection[int]) -> Kept | None:
        """Take the idea that waits longest for this trial; None: there is none.

        ``pointless`` are trials that ended without a point: what they took is there again.
        """
        with locked(lock_of(self.ideas_file)):
            for idea in self.ideas():
                if idea.trial is None or (idea.trial in pointless and idea.trial != trial):
                    append(self.ideas_file, {"taken": idea.id, "trial": trial})
                    return idea
        return None

    def ideas(self) -> list[Kept]:
        """List all ideas that it ever had, in their order."""
        found: dict[str, dict[str, Any]] = {}
        for line in read_lines(self.ideas_file):
            if "idea" in line:
                found[line["idea"]] = line
            elif line.get("taken") in found:
                found[line["taken"]]["trial"] = line["trial"]
        return [
            Kept(
                name,
                line["values"],
                line["rationale"],
                tuple(line["parents"]),
                line["hidden"],
                line.get("trial"),
            )
            for name, line in found.items()
        ]

    def log(self, said: Said) -> None:
        """Note what was said."""
        with locked(lock_of(self.log_file)):
            append(self.log_file, asdict(said))


@dataclass(frozen=True)
class Said:
    """A request and what came of it, as the log has it.

    Attributes:
        at: Unix time.
        trial: For which the agent was asked.
        outcome: ``ideas``, ``malformed`` or ``failed``.
        why: What was wrong with the answer, or why there is none.
        estimated: The server did not count the tokens.
    """

    at: float
    trial: int
    call: str
    model: str
    messages: Sequence[Mapping[str, str]]
    answer: str
    outcome: str
    why: Sequence[str]
    requests: int
    tokens_in: int
    tokens_out: int
    estimated: bool
    cost: float
    seconds: float
