"""What users can be told. Each error says what was wrong, what there is, and what to do next.

Commands print these without a traceback and exit with ``exit_code``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

MOST_LINES_SHOWN = 20


class CollisionError(Exception):
    """Base of everything that a user can mend."""

    exit_code = 2


class Interrupted(CollisionError):
    """A signal asked to stop, and the work stopped in good order."""

    def __init__(self, signal: int, how_to_go_on: str = "The same command goes on."):
        # As a process that the signal ended would exit: 143 after SIGTERM, 130 after SIGINT.
        self.exit_code = 128 + signal
        super().__init__(f"Interrupted; what was finished is kept. {how_to_go_on}")


class ConfigError(CollisionError):
    """An option or a combination of options that cannot work."""


class DatasetNotFoundError(CollisionError):
    """The files of a data set are not where they were said to be."""

    def __init__(self, root: Path | str, expected: Sequence[str], where: str):
        self.root, self.expected, self.where = Path(root), list(expected), where
        listing = "\n".join(f"  {name}" for name in self.expected)
        super().__init__(f"No data set at {str(root)!r}. Expected there:\n{listing}\n{where}")


@dataclass(frozen=True)
class Rejected:
    """A line of an annotation file that cannot be used, and why."""

    file: Path
    line: int
    reason: str


class AnnotationError(CollisionError):
    """An annotation file that cannot be read, or all of its lines that cannot (``rejected``)."""

    def __init__(self, message: str, rejected: Sequence[Rejected] = ()):
        self.rejected = list(rejected)
        super().__init__(message)

    @classmethod
    def of(cls, rejected: Sequence[Rejected]) -> AnnotationError:
        """List the lines of one or several files."""
        shown = rejected[:MOST_LINES_SHOWN]
        lines = [f"{one.file}, line {one.line}: {one.reason}" for one in shown]
        if rest := len(rejected) - len(shown):
            lines.append(f"... and {rest} more: `collision data` lists all of them in a file")
        listing = "\n  ".join(lines)
        return cls(f"{len(rejected)} line(s) cannot be used:\n  {listing}", rejected)


class VideoDecodeError(CollisionError):
    """A video that cannot be read whole."""

    def __init__(self, path: Path | str, reason: str):
        self.path, self.reason = Path(path), reason
        super().__init__(f"Cannot read {str(path)!r}: {reason}")

    def __reduce__(self) -> tuple[type, tuple[str, str]]:
        """Survive the way from a worker process."""
        return type(self), (str(self.path), self.reason)


class WeightsNotFoundError(CollisionError):
    """Pretrained weights that are neither on disk nor within reach."""


class CacheMismatchError(CollisionError):
    """Features on disk are not those that were asked for; the message spells out the difference."""


class CheckpointError(CollisionError):
    """A run or checkpoint that cannot be used."""


class MetricError(CollisionError):
    """A number that is not defined for these data, such as AP of one class."""
