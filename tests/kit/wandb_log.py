"""Read what W&B wrote while offline: the ``.wandb`` file, a log of protobuf records.

The file is LevelDB's log format: a header of 7 bytes, then blocks of 32 KiB with chunks, each of
which has a checksum (4 bytes), a length (2), a kind (1) and its bytes. A record that does not fit
into a block goes on in the next.
"""

import json
import struct
import time
from dataclasses import dataclass, field
from pathlib import Path

from wandb.proto.wandb_internal_pb2 import Record

BLOCK, FILE_HEADER, CHUNK_HEADER = 32_768, 7, 7
FULL, LAST = 1, 4


@dataclass
class OfflineRun:
    """What one W&B run holds; JSON values are decoded."""

    folder: Path
    facts: dict = field(default_factory=dict)
    config: dict = field(default_factory=dict)
    history: list[dict] = field(default_factory=list)
    summary: dict = field(default_factory=dict)
    artifacts: list = field(default_factory=list)
    exit_code: int | None = None


def read_records(path: Path) -> list[Record]:
    data = path.read_bytes()
    assert data[:4] == b":W&B"
    records, parts, position = [], b"", FILE_HEADER
    while position + CHUNK_HEADER <= len(data):
        if BLOCK - position % BLOCK < CHUNK_HEADER:
            position += BLOCK - position % BLOCK
            continue
        length, kind = struct.unpack("<HB", data[position + 4 : position + CHUNK_HEADER])
        position += CHUNK_HEADER
        if position + length > len(data):
            break  # still being written
        parts += data[position : position + length]
        position += length
        if kind in (FULL, LAST):
            records.append(Record.FromString(parts))
            parts = b""
    return records


def read_offline_run(folder: Path, patience: float = 20.0) -> OfflineRun:
    """Read a finished run; W&B's own process may still be writing its last records."""
    (path,) = folder.glob("*.wandb")
    deadline = time.monotonic() + patience
    while not any(record.HasField("exit") for record in read_records(path)):
        assert time.monotonic() < deadline, f"{path} has no end"
        time.sleep(0.05)
    run = OfflineRun(folder)
    for record in read_records(path):
        kind = record.WhichOneof("record_type")
        if kind == "run":
            message = record.run
            run.facts = {
                name: getattr(message, name)
                for name in ("run_id", "run_group", "job_type", "display_name", "project")
            }
            run.config |= _values(message.config.update)
        elif kind == "history":
            run.history.append(_values(record.history.item))
        elif kind == "summary":
            run.summary |= _values(record.summary.update)
        elif kind == "artifact":
            run.artifacts.append(record.artifact)
        elif kind == "exit":
            run.exit_code = record.exit.exit_code
    return run


def _values(items) -> dict:
    values: dict = {}
    for item in items:
        *outer, last = item.nested_key or [item.key]
        place = values
        for key in outer:
            place = place.setdefault(key, {})
        place[last] = json.loads(item.value_json)
    return values


def read_table(run: OfflineRun, name: str) -> tuple[dict, dict[str, Path]]:
    """Give a table that holds pictures, and where each of these lies.

    The file in the run's folder has words in their place; an artifact has the whole.
    """
    files = {
        content.path: Path(content.local_path)
        for artifact in run.artifacts
        for content in artifact.manifest.contents
        if any(c.path == f"{name}.table.json" for c in artifact.manifest.contents)
    }
    return json.loads(files[f"{name}.table.json"].read_text()), files
