"""A page whose worker needs no predictor: ``python -m tests.kit.serving FOLDER`` serves it.

Clips are named after what is to become of them: ``slow`` ones go on until they are cancelled,
``crash`` ends the worker, ``bad`` fails; of all others the risk rises from 0 to 1.
"""

from __future__ import annotations

import base64
import contextlib
import io
import os
import sys
import time
from pathlib import Path

from PIL import Image

from collision.serving.probe import Limits
from collision.serving.runs import Served
from collision.serving.server import Stopped, serve
from collision.serving.spool import spool
from collision.video.index import index_video

LIMITS = Limits(2**20, 30.0, ("mp4", "mkv"))
EVERY = 0.25
HOSTILE = "</h3><img src=x onerror=alert(1)>"


def work(pipe, settings):
    while True:
        try:
            task = pipe.recv()
        except EOFError:
            return
        if task["kind"] == "compare":
            pipe.send(("done", {"files": report(task, "compared")}))
            continue
        name = task["name"]
        if "crash" in name:
            os._exit(3)
        for step in range(10**9 if "slow" in name else 3):
            pipe.send(("share", step / (step + 5), f"step {step}"))
            time.sleep(0.02)
        if "bad" in name:
            pipe.send(("failed", f"{name} is bad."))
        else:
            pipe.send(("done", result(task)))


def result(task):
    path = Path(task["path"])
    index = index_video(path)
    count = int(index.duration / EVERY) + 1
    risks = [n / (count - 1) for n in range(count)]
    files = {"video": path.name, **report(task, task["name"])}
    for kind in ("csv", "png", *(["overlay"] if task["overlay"] else [])):
        (path.parent / "out" / kind).write_text(f"{kind} of {task['name']}")
        files[kind] = f"out/{kind}"
    if task["heatmap"]:
        (path.parent / "out" / "heat").write_bytes(base64.b64decode(poster()))
        files["heat"] = "out/heat"
    return {
        "times": [n * EVERY for n in range(count)],
        "probabilities": [None, *risks[1:]],
        "from_part": [False] * count,
        "first_time": EVERY,
        "duration": index.duration,
        "threshold": 0.5,
        "peak": [(count - 1) * EVERY, 1.0],
        "alarms": []
        if "calm" in task["name"]
        else [
            {"start": 2.0, "peak": 3.0, "end": 3.5, "score": 0.9},
        ],
        "distance": None,
        "notes": [HOSTILE],
        "warnings": [HOSTILE],
        "marks": ["the threshold is a fallback"],
        "poster": poster(),
        "heat": poster() if task["heatmap"] else "",
        "files": files,
    }


def poster():
    coded = io.BytesIO()
    Image.new("RGB", (32, 18), "teal").save(coded, "JPEG")
    return base64.b64encode(coded.getvalue()).decode()


def report(task, text):
    output = Path(task["output"])
    output.mkdir()
    # A page from elsewhere, which asks for what is not its own.
    script = "fetch('/api/state').then(() => document.title = 'reached').catch(() => 0)"
    page = f"<!doctype html><title>own</title><p>report: {text}</p><script>{script}</script>"
    (output / "report.html").write_text(page)
    return {"report": "out/report.html"}


def made_runs(folder):
    """Make folders that look like runs, the second of a hostile name and with a report."""
    runs = []
    for name in ("plain", "a<b>&c"):
        run = folder / name
        run.mkdir()
        (run / "predictions_seed0.csv").touch()
        runs.append(Served(run, name))
    (runs[1].path / "results.html").write_text("<!doctype html><title>own</title><p>results</p>")
    return runs


def main(folder):
    def tell(address):
        print(address, flush=True)

    with spool() as place:
        serve(made_runs(folder), place, (work, None), ("127.0.0.1", 0), LIMITS, (20, 3600), tell)


if __name__ == "__main__":
    with contextlib.suppress(Stopped):
        main(Path(sys.argv[1]))
