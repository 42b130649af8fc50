"""`serve` as it is started: with a run's own predictor, over HTTP, ended by a signal."""

import base64
import signal
import subprocess
import sys
import time

import httpx
import pytest

from tests.conftest import ROOT, TIMEOUT, environment

OURS = {"x-collision": "1"}

pytestmark = pytest.mark.slow


@pytest.fixture
def page(workshop, tmp_path):
    """The page's process, its address, and where it keeps what it is sent."""
    command = [
        sys.executable,
        "-m",
        "collision",
        "serve",
        str(workshop.run),
        "port=0",
        "heat.cells=2",
    ]
    env = {**environment(workshop.root), "TMPDIR": str(tmp_path)}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen(command, cwd=ROOT, env=env, **pipes)
    try:
        address = next(word for word in process.stdout.readline().split() if "://" in word)
        yield process, address, tmp_path
    finally:
        process.kill()
        process.communicate()


def test_a_clip_gets_the_curve_that_predict_gives_and_the_end_leaves_nothing(
    page, workshop, tmp_path_factory
):
    process, address, spool = page
    client = httpx.Client(base_url=address, timeout=TIMEOUT)
    client.get("/")
    clip = ROOT / "examples" / "drive.mp4"
    where = "/api/clips?run=0&overlay=1&heatmap=1"
    job = client.post(where, content=clip.read_bytes(), headers=OURS).json()["id"]
    end = time.monotonic() + TIMEOUT
    while (told := client.get(f"/api/jobs/{job}").json())["state"] in ("waiting", "working"):
        assert time.monotonic() < end
        time.sleep(0.2)
    assert told["state"] == "done", told
    assert isinstance(told["result"]["marks"], list)
    assert told["result"]["files"] == ["csv", "heat", "overlay", "png", "report", "video"]
    output = tmp_path_factory.mktemp("out")
    given = f"checkpoint={workshop.run}", f"output={output}", "heatmap=true", "heat.cells=2"
    workshop.command("predict", clip, *given)
    assert client.get(f"/jobs/{job}/csv").text == (output / "drive.csv").read_text()
    assert client.get(f"/jobs/{job}/video").content == clip.read_bytes()
    heat = client.get(f"/jobs/{job}/heat")
    assert heat.content == (output / "drive.heat.jpg").read_bytes()
    assert 'filename="clip.heat.jpg"' in heat.headers["content-disposition"]
    assert base64.b64decode(told["result"]["heat"]) == heat.content
    assert told["result"]["heat"] in client.get(f"/jobs/{job}/report").text
    assert len(list(spool.glob("collision-serve-*/*/clip.mp4"))) == 1
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=TIMEOUT)
    assert process.returncode == 143 and "Traceback" not in said
    assert "what visitors had sent is removed" in said and "error:" not in said
    assert not list(spool.glob("collision-serve-*"))


def test_without_types_nothing_could_come_in(workshop):
    assert "no clip could come in" in workshop.command("serve", workshop.run, "types=[]", code=2)


def test_a_port_that_is_taken_gets_a_sentence(page, workshop):
    port = page[1].rstrip("/").rpartition(":")[2]
    said = workshop.command("serve", workshop.run, f"port={port}", code=2)
    assert f"port={port}: cannot listen there (Address already in use)" in said
