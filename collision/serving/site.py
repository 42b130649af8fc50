"""What the page asks for, and what it is answered.

GET    /                        the page;  /assets/NAME  its styles and scripts
GET    /api/state               runs, limits, and the visitor's jobs
POST   /api/clips?run=N         a clip, as the body; &overlay=1 and &heatmap=1 ask for more
POST   /api/comparisons?run=N&run=M
GET    /api/jobs/ID             a job with what came out
DELETE /api/jobs/ID             cancel it; remove it, when it has ended
GET    /jobs/ID/FILE            video, curve, picture, overlay, heat map, report
GET    /runs/N                  a run's report
"""

from __future__ import annotations

import secrets
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from collision.report.html import asset
from collision.serving.doors import REPORT_POLICY, Doors
from collision.serving.jobs import Full, Job, Jobs
from collision.serving.page import PAGE
from collision.serving.probe import Limits, Refused
from collision.serving.runs import Served
from collision.serving.uploads import receive, shown_name, too_large
from collision.types import Seconds

_ASSETS = Path(__file__).with_name("assets")
_KINDS = {".js": "text/javascript", ".css": "text/css"}
# What a job's files are downloaded as, and whether a browser shows them instead.
_FILES = {
    "video": ("", True),
    "csv": (".csv", False),
    "png": (".png", False),
    "overlay": (".overlay.mp4", False),
    "heat": (".heat.jpg", False),
    "report": (".html", True),
}
_MOST_COMPARED = 8
_TO_WAIT: Seconds = 10.0


@dataclass
class Site:
    """The page's own state.

    Args:
        runs: What is offered, by number.
        jobs: Of all visitors.
        folder: Where jobs get folders of their own.
        limits: Of clips.
        token: See ``Doors``.
    """

    runs: list[Served]
    jobs: Jobs
    folder: Path
    limits: Limits
    token: str | None = None
    _receiving: int = field(default=0, init=False)
    _runs: list[dict[str, Any]] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        """Read what is told of the runs."""
        self._runs = [run.as_json() for run in self.runs]

    def app(self) -> Doors:
        """Give the application, its doors before it."""
        api = (
            Route("/api/state", self._state),
            Route("/api/clips", self._add_clip, methods=["POST"]),
            Route("/api/comparisons", self._add_comparison, methods=["POST"]),
            Route("/api/jobs/{job}", self._job),
            Route("/api/jobs/{job}", self._end_job, methods=["DELETE"]),
        )
        files = (
            Route("/", self._page),
            Route("/assets/{name}", self._asset),
            Route("/jobs/{job}/{kind}", self._file),
            Route("/runs/{run}", self._run),
        )
        said = {HTTPException: _said}  # a sentence, for the page
        return Doors(Starlette(routes=[*api, *files], exception_handlers=said), self.token)

    async def _page(self, _: Request) -> Response:
        return HTMLResponse(PAGE)

    async def _asset(self, request: Request) -> Response:
        name = request.path_params["name"]
        if name not in {path.name for path in _ASSETS.iterdir()}:
            raise HTTPException(404)
        text = (_ASSETS / name).read_text(encoding="utf-8")
        if name.endswith(".css"):
            text = asset("look.css") + text
        return Response(text, media_type=_KINDS[Path(name).suffix])

    def _state(self, request: Request) -> Response:
        limits = {
            "size": self.limits.max_size,
            "length": self.limits.max_length,
            "types": self.limits.types,
        }
        return JSONResponse(
            {
                "runs": self._runs,
                "limits": limits,
                "jobs": [self._told(job) for job in self.jobs.of(_visitor(request))],
            }
        )

    def _told(self, job: Job) -> dict[str, Any]:
        told: dict[str, Any] = {
            "id": job.id,
            "kind": job.kind,
            "name": job.name,
            "run": job.task.get("run_name", ""),
            "state": job.state,
            "share": job.share,
            "words": job.words,
            "error": job.error,
            "since": job.given,
        }
        if "peak" in job.result:
            told["risk"], told["alarms"] = job.result["peak"][1], len(job.result["alarms"])
        if job.state == "waiting":
            told["before"] = self.jobs.before(job)
        return told

    async def _add_clip(self, request: Request) -> Response:
        run = self._run_of(request.query_params.get("run", ""))
        name = shown_name(request.headers.get("x-clip-name", ""))
        self._check_room()
        length = request.headers.get("content-length", "")
        if length.isdecimal() and int(length) > self.limits.max_size:
            raise HTTPException(413, str(too_large(self.limits)))
        folder = self._new_folder()
        self._receiving += 1
        try:
            found = await receive(request.stream(), folder, self.limits)
            task = {
                "kind": "clip",
                "path": str(found["path"]),
                "name": name,
                "output": str(folder / "out"),
                "checkpoint": str(run.path),
                "run_name": run.name,
                "overlay": request.query_params.get("overlay") == "1",
                "heatmap": request.query_params.get("heatmap") == "1",
            }
            job = Job(_visitor(request), "clip", name, task, folder)
            self.jobs.add(job)
        except Refused as error:  # a card that says why, like any clip that failed
            shutil.rmtree(folder, ignore_errors=True)
            job = Job(_visitor(request), "clip", name, {"run_name": run.name}, folder)
            job.state, job.error = "failed", str(error)
            self.jobs.add(job)
        except BaseException as error:
            shutil.rmtree(folder, ignore_errors=True)
            raise _answer_to(error) from None
        finally:
            self._receiving -= 1
        return JSONResponse(self._told(job), 201)

    async def _add_comparison(self, request: Request) -> Response:
        runs = [self._run_of(text) for text in request.query_params.getlist("run")]
        if not 2 <= len(set(runs)) == len(runs) <= _MOST_COMPARED:
            raise HTTPException(400, f"Choose 2 to {_MOST_COMPARED} runs.")
        self._check_room()
        folder = self._new_folder()
        name = " against ".join(run.name for run in runs)
        task = {
            "kind": "compare",
            "paths": [str(run.path) for run in runs],
            "output": str(folder / "out"),
        }
        job = Job(_visitor(request), "compare", name, task, folder)
        try:
            self.jobs.add(job)
        except Full as error:
            shutil.rmtree(folder, ignore_errors=True)
            raise _answer_to(error) from None
        return JSONResponse(self._told(job), 201)

    def _job(self, request: Request) -> Response:
        job = self._job_of(request)
        return JSONResponse({**self._told(job), "result": _without_paths(job.result)})

    def _end_job(self, request: Request) -> Response:
        job = self._job_of(request)
        if job.goes_on:
            self.jobs.cancel(job)
        else:
            self.jobs.remove(job)
        return Response(status_code=204)

    def _file(self, request: Request) -> Response:
        job, kind = self._job_of(request), request.path_params["kind"]
        relative = job.result.get("files", {}).get(kind)
        if kind not in _FILES or relative is None:
            raise HTTPException(404, "There is no such file.")
        ending, is_shown = _FILES[kind]
        path = job.folder / relative
        if kind == "report":
            headers = {"content-security-policy": REPORT_POLICY}
            return FileResponse(path, media_type="text/html", headers=headers)
        if is_shown:
            return FileResponse(path)
        return FileResponse(path, filename=f"{Path(job.name).stem}{ending}")

    def _run(self, request: Request) -> Response:
        page = self._run_of(request.path_params["run"]).page
        if page is None:
            raise HTTPException(404, "This run has no report.")
        headers = {"content-security-policy": REPORT_POLICY}
        return FileResponse(page, media_type="text/html", headers=headers)

    def _run_of(self, number: str) -> Served:
        if not (number.isascii() and number.isdecimal() and int(number[:9]) < len(self.runs)):
            raise HTTPException(404, "There is no such run.")
        return self.runs[int(number[:9])]

    def _job_of(self, request: Request) -> Job:
        job = self.jobs.find(_visitor(request), request.path_params["job"])
        if job is None:
            raise HTTPException(404, "There is no such job; it may have been removed.")
        return job

    def _check_room(self) -> None:
        try:
            self.jobs.check_room()
        except Full as error:
            raise _answer_to(error) from None
        if self._receiving >= self.jobs.most:
            raise _answer_to(Full())

    def _new_folder(self) -> Path:
        folder = self.folder / secrets.token_hex(12)
        folder.mkdir(mode=0o700)
        return folder


def _answer_to(error: BaseException) -> BaseException:
    """Give what a visitor is told of an error; any other is ours, and goes on its way."""
    if isinstance(error, Full):
        text = "Too many clips are waiting. Try again in a while."
        return HTTPException(503, text, headers={"retry-after": f"{_TO_WAIT:.0f}"})
    if isinstance(error, ClientDisconnect):
        return HTTPException(499, "The sender has gone.")
    if isinstance(error, OSError):
        return HTTPException(507, "The clip could not be written here: the disk may be full.")
    return error


def _visitor(request: Request) -> str:
    return str(request.scope["visitor"])


def _without_paths(result: dict[str, Any]) -> dict[str, Any]:
    told = dict(result)
    if "files" in told:
        told["files"] = sorted(told["files"])
    return told


async def _said(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": error.detail}, error.status_code, headers=error.headers)
