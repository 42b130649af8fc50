"""What an extraction did, for programs: a JSON file a run, beside the features.

<store>/reports/<time>-<host>-<process>.json
"""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from collision.errors import CollisionError
from collision.features.store import FeatureStore
from collision.files import write_json

if TYPE_CHECKING:
    from collision.features.extract import ExtractionReport


def write_report(
    store: FeatureStore, report: ExtractionReport, exit_code: int, **names: Any
) -> Path | None:
    """Write a report with further ``names``; None where the folder may only be read."""
    now = datetime.now(UTC)
    host, process = socket.gethostname(), os.getpid()
    file = store.folder / "reports" / f"{now:%Y%m%dT%H%M%S.%f}-{host}-{process}.json"
    seconds = report.seconds
    content = {
        "version": 1,
        **names,
        "exit_code": exit_code,
        "signal": report.signal,
        "ended": now.isoformat(timespec="seconds"),
        "host": host,
        "process": process,
        "seconds": round(seconds, 3),
        "windows_computed": report.num_windows,
        "windows_reused": report.num_reused,
        "windows_beyond_the_videos": report.num_unavailable,
        "videos_outdated": report.num_outdated,
        "windows_per_second": round(report.num_windows / seconds, 3) if seconds else None,
        "backbone_waited_seconds": round(report.waited, 3),
        "batches": report.num_batches,
        "batch_size": report.batch_size,
        "workers": report.num_workers,
        "clips_decoded_elsewhere": report.num_elsewhere,
        "device": report.device,
    }
    with suppress(CollisionError, OSError):  # the features are what matters
        file.parent.mkdir(parents=True, exist_ok=True)
        write_json(file, content)
        return file
    return None
