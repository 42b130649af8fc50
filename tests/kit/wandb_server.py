"""A W&B server for tests: as much of its protocol as W&B's own client asks of it, on loopback.

The client sends GraphQL to ``/graphql``, the history as lines of files to ``.../file_stream``, and
files to addresses that it is given. What comes in is kept in memory.
"""

from __future__ import annotations

import base64
import gzip
import json
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import Any

KEY = "0123456789abcdef" * 2 + "01234567"  # 40 characters, of nobody
ENTITY = "somebody"
VIEWER = {
    "id": "VXNlcjox",
    "entity": ENTITY,
    "username": ENTITY,
    "email": "somebody@example.org",
    "flags": "{}",
    "teams": {"edges": []},
}


@dataclass
class ServedRun:
    """What came in of a run; JSON is decoded."""

    facts: dict[str, Any] = field(default_factory=dict)
    lines: dict[str, dict[int, str]] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    exit_code: int | None = None

    @property
    def config(self) -> dict[str, Any]:
        return {name: one["value"] for name, one in json.loads(self.facts["config"]).items()}

    @property
    def history(self) -> list[dict[str, Any]]:
        lines = self.lines.get("wandb-history.jsonl", {})
        return [json.loads(lines[number]) for number in sorted(lines)]

    @property
    def summary(self) -> dict[str, Any]:
        lines = self.lines["wandb-summary.json"]
        found: dict[str, Any] = json.loads(lines[max(lines)])
        return found


@dataclass
class ServedArtifact:
    facts: dict[str, Any]
    files: dict[str, bytes] = field(default_factory=dict)
    manifest: dict[str, Any] = field(default_factory=dict)
    is_committed: bool = False


class WandbServer:
    """Answers the client; ``closed`` turns everything away, as a server that is being mended."""

    def __init__(self) -> None:
        self.address = ""
        self.closed = False
        self.runs: dict[str, ServedRun] = {}
        self.artifacts: dict[str, ServedArtifact] = {}
        self.asked: list[str] = []
        self.unknown: list[str] = []
        self.lock = Lock()

    def answer(self, query: str, given: dict[str, Any]) -> dict[str, Any] | None:
        """Answer a query of GraphQL; None: it is not known."""
        found = re.search(r"(?:query|mutation)\s+(\w+)", query)
        name = found[1] if found else "?"
        self.asked.append(name)
        known = getattr(self, f"_{name}", None)
        if known is None:
            self.unknown.append(name)
            return None
        answered: dict[str, Any] = known(given)
        return answered

    def _ServerFeaturesQuery(self, given: dict[str, Any]) -> dict[str, Any]:
        return {"serverInfo": {"features": []}}

    def _Viewer(self, given: dict[str, Any]) -> dict[str, Any]:
        return {"viewer": VIEWER}

    def _RunResumeStatus(self, given: dict[str, Any]) -> dict[str, Any]:
        run = self.runs.get(given["name"])
        if run is None:
            return {"model": None}
        history = run.lines.get("wandb-history.jsonl", {})
        last = [history[max(history)]] if history else []
        bucket = {
            "id": given["name"],
            "name": given["name"],
            "summaryMetrics": json.dumps(run.summary),
            "displayName": run.facts["displayName"],
            "logLineCount": 0,
            "historyLineCount": len(history),
            "eventsLineCount": 0,
            "historyTail": json.dumps(last),
            "eventsTail": "[]",
            "config": run.facts["config"],
            "tags": [],
            "notes": "",
            "wandbConfig": json.dumps({"t": 1}),
        }
        entity = {"id": "e", "name": ENTITY}
        return {"model": {"id": "p", "name": given["project"], "entity": entity, "bucket": bucket}}

    def _UpsertBucket(self, given: dict[str, Any]) -> dict[str, Any]:
        name = given.get("name") or given["id"]
        is_new = name not in self.runs
        run = self.runs.setdefault(name, ServedRun())
        run.facts |= {key: value for key, value in given.items() if value is not None}
        project = {"id": "p", "name": run.facts["project"], "entity": {"id": "e", "name": ENTITY}}
        bucket = {
            "id": name,
            "name": name,
            "displayName": run.facts.get("displayName"),
            "description": None,
            "config": run.facts.get("config"),
            "sweepName": None,
            "project": project,
            "historyLineCount": len(run.lines.get("wandb-history.jsonl", {})),
        }
        return {"upsertBucket": {"bucket": bucket, "inserted": is_new}}

    def _CreateRunFiles(self, given: dict[str, Any]) -> dict[str, Any]:
        start = f"{self.address}/put/run/{given['run']}"
        files = [{"name": name, "uploadUrl": f"{start}/{name}"} for name in given["files"]]
        return {"createRunFiles": {"runID": given["run"], "uploadHeaders": [], "files": files}}

    def _CreateArtifact(self, given: dict[str, Any]) -> dict[str, Any]:
        name = f"artifact{len(self.artifacts)}"
        self.artifacts[name] = ServedArtifact(given["input"])
        made = {"id": name, "state": "PENDING", "artifactSequence": {"latestArtifact": None}}
        return {"createArtifact": {"artifact": made}}

    def _CreateArtifactManifest(self, given: dict[str, Any]) -> dict[str, Any]:
        name = given["artifactID"]
        place = {"id": f"file-{name}"}
        if given["includeUpload"]:
            address = f"{self.address}/put/manifest/{name}"
            place |= {"uploadUrl": address, "uploadHeaders": []}  # type: ignore[dict-item]
        return {"createArtifactManifest": {"artifactManifest": {"id": name, "file": place}}}

    def _UpdateArtifactManifest(self, given: dict[str, Any]) -> dict[str, Any]:
        name = given["artifactManifestID"]
        address = f"{self.address}/put/manifest/{name}"
        place = {"id": f"file-{name}", "uploadUrl": address, "uploadHeaders": []}
        return {"updateArtifactManifest": {"artifactManifest": {"id": name, "file": place}}}

    def _CreateArtifactFiles(self, given: dict[str, Any]) -> dict[str, Any]:
        edges = []
        for one in given["input"]["artifactFiles"]:
            path = f"artifact/{one['artifactID']}/{one['name']}"
            node = {
                "storagePath": path,
                "uploadUrl": f"{self.address}/put/{path}",
                "uploadHeaders": [],
                "uploadMultipartUrls": None,
                "artifact": {"id": one["artifactID"]},
            }
            edges.append({"node": node})
        return {"createArtifactFiles": {"files": {"edges": edges}}}

    def _CommitArtifact(self, given: dict[str, Any]) -> dict[str, Any]:
        artifact = self.artifacts[given["artifactID"]]
        artifact.is_committed = True
        made = {"id": given["artifactID"], "digest": artifact.facts["digest"]}
        return {"commitArtifact": {"artifact": made}}

    def put(self, path: str, body: bytes) -> None:
        """Take a file."""
        kind, owner, name = [*path.removeprefix("/put/").split("/", 2), ""][:3]
        if kind == "manifest":
            self.artifacts[owner].manifest = json.loads(body)
        elif kind == "artifact":
            self.artifacts[owner].files[name] = body
        else:
            self.runs[owner].files[name] = body

    def stream(self, run: ServedRun, sent: dict[str, Any]) -> None:
        """Take lines of a run's files; a line that is sent again stands in its place."""
        for name, chunk in (sent.get("files") or {}).items():
            lines = run.lines.setdefault(name, {})
            lines |= dict(enumerate(chunk["content"], chunk["offset"]))
        if sent.get("complete"):
            run.exit_code = sent["exitcode"]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    state: WandbServer

    def do_POST(self) -> None:
        body = self._body()
        with self.state.lock:
            code, data = self._answered(body)
        self._reply(code, data)

    def do_PUT(self) -> None:
        body = self._body()
        with self.state.lock:
            self.state.put(self.path, body)
        self._reply(200, {})

    def log_message(self, *_: Any) -> None:
        pass

    def _body(self) -> bytes:
        data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        kind = self.headers.get("Content-Encoding") or ""
        return {"gzip": gzip.decompress, "deflate": zlib.decompress}.get(kind, bytes)(data)

    def _reply(self, code: int, data: Any) -> None:
        content = json.dumps(data).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _is_known(self) -> bool:
        given = base64.b64decode(self.headers.get("Authorization", "").removeprefix("Basic "))
        return given.decode().partition(":")[2] == KEY

    def _answered(self, body: bytes) -> tuple[int, Any]:
        if self.state.closed:
            return 403, {"error": "closed"}
        if not self._is_known():
            return 401, {"errors": [{"message": "user is not logged in"}]}
        sent = json.loads(body)
        if self.path.endswith("/graphql"):
            data = self.state.answer(sent["query"], sent.get("variables") or {})
            if data is None:
                return 200, {"errors": [{"message": "not known here"}], "data": None}
            return 200, {"data": data}
        self.state.stream(self.state.runs[self.path.split("/")[-2]], sent)
        return 200, {}


class _Server(ThreadingHTTPServer):
    def handle_error(self, *_: Any) -> None:
        """A client may leave whenever it likes."""


@contextmanager
def wandb_server() -> Iterator[WandbServer]:
    """Serve on a free port of this machine."""
    state = WandbServer()
    handler = type("Handler", (_Handler,), {"state": state})
    with _Server(("127.0.0.1", 0), handler) as http:
        state.address = f"http://127.0.0.1:{http.server_port}"
        Thread(target=http.serve_forever, daemon=True).start()
        yield state
        http.shutdown()
