"""A server that speaks as much of OpenAI's protocol as agents need, and answers by a script."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Script = Callable[["Asked"], "Reply"]


@dataclass
class Asked:
    """A request, and how many came before it."""

    number: int
    path: str
    headers: dict[str, str]
    body: dict[str, Any]
    raw: str

    @property
    def told(self) -> dict[str, Any]:
        """The document that an agent was given."""
        return json.loads(self.body["messages"][1]["content"])


@dataclass
class Reply:
    """What the server sends: a body, or pieces of one without end."""

    body: str | bytes = b""
    status: int = 200
    kind: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)
    pieces: Callable[[], Iterator[bytes]] | None = None


def completion(content: Any, tokens: tuple[Any, Any] | None = (100, 10), **more: Any) -> Reply:
    """Answer as a model would: text, or JSON of what is no text."""
    text = content if isinstance(content, str | None) else json.dumps(content)
    body: dict[str, Any] = {
        "id": "1",
        "object": "chat.completion",
        "created": 0,
        "model": "scripted",
        "choices": [
            {
                "index": 0,
                "finish_reason": more.get("finish_reason", "stop"),
                "message": {"role": "assistant", "content": text},
            }
        ],
    }
    if tokens:
        body["usage"] = {
            "prompt_tokens": tokens[0],
            "completion_tokens": tokens[1],
            "total_tokens": 0,
        }
    return Reply(json.dumps(body))


def proposals(*points: dict[str, Any], rationale: str = "because", parents: Any = ()) -> Reply:
    """Answer with points."""
    return completion(
        {
            "proposals": [
                {"point": point, "rationale": rationale, "parents": list(parents)}
                for point in points
            ]
        }
    )


@dataclass
class Server:
    url: str
    asked: list[Asked]
    script: Script


@contextmanager
def scripted(script: Script) -> Iterator[Server]:
    """Serve on this machine while the block runs."""
    ended = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            raw = self.rfile.read(int(self.headers["Content-Length"])).decode()
            with lock:
                asked = Asked(
                    len(server.asked), self.path, dict(self.headers), json.loads(raw), raw
                )
                server.asked.append(asked)
            reply = server.script(asked)
            try:
                self._send(reply)
            except OSError:  # the client has heard enough
                self.close_connection = True

        def _send(self, reply: Reply) -> None:
            body = reply.body.encode() if isinstance(reply.body, str) else reply.body
            self.send_response(reply.status)
            self.send_header("Content-Type", reply.kind)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            if not reply.pieces:
                self.send_header("Content-Length", str(len(body)))
            else:
                self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(body)
            if reply.pieces:
                self.close_connection = True
                for piece in reply.pieces():
                    if ended.wait(0.05):
                        return
                    self.wfile.write(piece)
                    self.wfile.flush()

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    lock = threading.Lock()
    web = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    web.daemon_threads = True
    server = Server(f"http://127.0.0.1:{web.server_port}/v1", [], script)
    thread = threading.Thread(target=web.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        ended.set()
        web.shutdown()
        web.server_close()
        thread.join()
