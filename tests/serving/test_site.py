"""What the page is answered: clips in, by content; nothing for other sites, visitors, or paths."""

import asyncio
import contextlib
import io
import time
from types import SimpleNamespace
from urllib.parse import quote

import pytest
from starlette.testclient import TestClient

from collision.serving.jobs import Jobs
from collision.serving.probe import Limits
from collision.serving.site import Site
from collision.serving.uploads import shown_name
from collision.serving.worker import Worker
from tests.conftest import ROOT
from tests.kit.serving import LIMITS, made_runs, work
from tests.kit.video import numbered_frames, write_video

OURS = {"x-collision": "1"}
CLIP = (ROOT / "examples" / "drive.mp4").read_bytes()
PATIENCE = 300  # seconds: a busy machine is slow


@pytest.fixture
def shop(tmp_path):
    """A site without a worker; ``visit`` gives a visitor's client."""
    (tmp_path / "runs").mkdir()
    (tmp_path / "spool").mkdir()
    jobs = Jobs(4, 3600)
    runs = made_runs(tmp_path / "runs")

    def visit(token=None, limits=LIMITS, **options):
        app = Site(runs, jobs, tmp_path / "spool", limits, token).app()
        client = TestClient(app, base_url="http://localhost:8765", **options)
        client.get("/" if token is None else f"/?token={token}")
        return client

    return SimpleNamespace(visit=visit, jobs=jobs, spool=tmp_path / "spool")


def send(client, content=CLIP, name="drive.mp4", run="0", **headers):
    headers = {**OURS, "x-clip-name": quote(name), **headers}
    return client.post(f"/api/clips?run={run}", content=content, headers=headers)


def wait_for(client, job, states):
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        told = client.get(f"/api/jobs/{job}").json()
        if told["state"] in states:
            return told
        time.sleep(0.05)
    raise AssertionError(told)


@pytest.fixture
def worker(shop):
    thread = Worker(shop.jobs, work, None)
    thread.start()
    yield thread
    shop.jobs.close()
    thread.join(PATIENCE)
    assert not thread.is_alive()


def test_a_clip_comes_in_is_worked_on_and_can_be_downloaded_and_removed(shop, worker):
    client = shop.visit()
    answer = send(client, name="../../étc\\dríve.mp4")
    assert answer.status_code == 201 and answer.json()["name"] == "dríve.mp4"
    job = answer.json()["id"]
    told = wait_for(client, job, ("done",))
    assert told["result"]["files"] == ["csv", "png", "report", "video"] and told["alarms"] == 1
    video = client.get(f"/jobs/{job}/video", headers={"range": "bytes=5-9"})
    assert (video.status_code, video.content) == (206, CLIP[5:10])
    curve = client.get(f"/jobs/{job}/csv")
    assert curve.text == "csv of dríve.mp4"
    assert quote("dríve.csv") in curve.headers["content-disposition"]
    report = client.get(f"/jobs/{job}/report")
    assert report.headers["content-security-policy"].startswith("sandbox allow-scripts; ")
    assert client.get(f"/jobs/{job}/overlay").status_code == 404
    assert client.delete(f"/api/jobs/{job}", headers=OURS).status_code == 204
    assert client.get(f"/api/jobs/{job}").status_code == 404
    assert not list(shop.spool.iterdir())


def test_a_crash_a_failure_and_a_cancelled_one_do_not_cost_the_next(shop, worker):
    client = shop.visit()
    names = ("crash.mp4", "bad.mp4", "slow.mp4", "good.mp4")
    crash, bad, slow, good = (send(client, name=name).json()["id"] for name in names)
    assert "exit code 3" in wait_for(client, crash, ("failed",))["error"]
    assert wait_for(client, bad, ("failed",))["error"] == "bad.mp4 is bad."
    wait_for(client, slow, ("working",))
    assert client.get(f"/api/jobs/{good}").json()["before"] == 1
    client.delete(f"/api/jobs/{slow}", headers=OURS)
    assert wait_for(client, good, ("done",))["error"] == ""
    assert client.get(f"/api/jobs/{slow}").json()["state"] == "cancelled"
    assert len(list(shop.spool.iterdir())) == 3  # the cancelled one's files are gone


def mkv(folder):
    return write_video(folder / "clip.mkv", numbered_frames(8), fps=10).read_bytes()


def test_what_is_no_video_or_too_long_or_of_another_kind_gets_a_sentence(shop, tmp_path):
    cases = {
        "It cannot be read": (b"#EXTM3U\nfile:///etc/passwd\n", LIMITS),
        "The file is empty": (b"", LIMITS),
        "It is larger than 0 MiB": (CLIP, Limits(len(CLIP) - 1, 30, ("mp4",))),
        "at most 2 s may come in": (CLIP, Limits(2**20, 2.0, ("mp4",))),
        "It is a video in mkv; mp4 may come in": (mkv(tmp_path), Limits(2**20, 30, ("mp4",))),
    }
    for words, (content, limits) in cases.items():
        client = shop.visit(limits=limits)
        answer = send(client, [content] if words.startswith("It is larger") else content)
        told = answer.json()
        assert told["state"] == "failed" and words in told["error"], told
        assert str(tmp_path) not in told["error"] and not list(shop.spool.iterdir())
        client.delete(f"/api/jobs/{told['id']}", headers=OURS)


def test_what_says_that_it_is_too_large_is_not_even_read(shop):
    client = shop.visit(limits=Limits(10, 30, ("mp4",)))
    answer = send(client)
    assert answer.status_code == 413 and "larger than" in answer.json()["error"]


def test_a_sender_that_leaves_leaves_nothing(shop):
    client = shop.visit()
    coming = iter([{"type": "http.request", "body": CLIP[:1000], "more_body": True}])
    seen = []

    async def receive():
        seen.extend(shop.spool.glob("*/coming"))
        return next(coming, {"type": "http.disconnect"})

    async def send_nothing(message):
        pass

    headers = [(b"host", b"localhost"), (b"x-collision", b"1")]
    scope = {"type": "http", "method": "POST", "path": "/api/clips", "headers": headers}
    scope |= {"query_string": b"run=0", "root_path": "", "http_version": "1.1"}
    asyncio.run(client.app(scope, receive, send_nothing))
    assert seen and not list(shop.spool.iterdir())
    assert client.get("/api/state").json()["jobs"] == []


def test_the_row_is_full_at_some_time(shop):
    client, other = shop.visit(), shop.visit()
    for _ in range(4):
        assert send(client).status_code == 201
    answer = send(other)
    assert answer.status_code == 503 and answer.headers["retry-after"]
    assert len(list(shop.spool.iterdir())) == 4


def test_visitors_do_not_reach_each_others_jobs(shop):
    one, other = shop.visit(), shop.visit()
    job = send(one).json()["id"]
    assert other.get("/api/state").json()["jobs"] == []
    assert other.get(f"/api/jobs/{job}").status_code == 404
    assert other.delete(f"/api/jobs/{job}", headers=OURS).status_code == 404
    assert other.get(f"/jobs/{job}/video").status_code == 404
    assert one.get(f"/api/jobs/{job}").json()["state"] == "waiting"


OF_OTHERS = (
    {"origin": "http://evil.example"},
    {"origin": "null"},
    {"origin": "http://localhost:3000"},
    {"sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "same-site"},
    {"x-collision": ""},
)


def test_other_sites_can_send_nothing_and_end_nothing(shop):
    client = shop.visit()
    job = send(client).json()["id"]
    for headers in OF_OTHERS:
        assert send(client, **headers).status_code == 403, headers
        assert client.delete(f"/api/jobs/{job}", headers={**OURS, **headers}).status_code == 403
    assert len(client.get("/api/state").json()["jobs"]) == 1


def test_other_sites_can_embed_nothing_but_link_to_the_page(shop):
    client = shop.visit()
    job = send(client).json()["id"]
    cross = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"}
    for path in ("/", "/api/state", f"/api/jobs/{job}", f"/jobs/{job}/video", "/runs/1"):
        assert client.get(path, headers=cross).status_code == 403
        refused = client.get(path, headers={"origin": "http://evil.example"})
        assert refused.status_code == 403
        assert "access-control-allow-origin" not in refused.headers
    link = {**cross, "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}
    assert client.get("/", headers=link).status_code == 200
    assert client.get("/", headers={**link, "sec-fetch-dest": "iframe"}).status_code == 403
    assert client.get("/runs/1", headers=link).status_code == 403


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8765", "127.0.0.1.evil.example", ""]
)
def test_a_name_that_another_site_gave_our_address_is_not_answered(shop, host):
    assert shop.visit().get("/", headers={"host": host}).status_code == 403


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:99", "[::1]:8765"])
def test_names_of_the_loopback_are(shop, host):
    assert shop.visit().get("/", headers={"host": host}).status_code == 200


def test_where_others_reach_it_a_token_opens_it_once_and_for_all(shop):
    client = shop.visit("secret-token")
    assert client.get("/api/state").status_code == 200
    for guess in ("", "?token=", "?token=secret", "?token=secret-tokenx"):
        stranger = TestClient(client.app, base_url="http://localhost:8765")
        answer = stranger.get(f"/{guess}")
        assert answer.status_code == 403 and "set-cookie" not in answer.headers
        assert "token" in answer.text and "secret" not in answer.text
        assert stranger.get("/assets/serve.js").status_code == 403
    fresh = shop.visit("secret-token")
    assert {cookie.name for cookie in fresh.cookies.jar} == {"collision_token", "collision_visitor"}
    answer = fresh.get("/?token=secret-token")
    assert "SameSite=Strict" in answer.headers["set-cookie"]
    assert "HttpOnly" in answer.headers["set-cookie"]


NOWHERE = (
    *("/assets/..%2Fpage.py", "/assets/../page.py", "/assets/%2e%2e/page.py", "/runs/2"),
    *("/runs/-1", "/runs/0", "/runs/1%2F..", "/runs/%C2%B2", "/runs/99999999999999999999"),
    *("/jobs/JOB/..%2F..%2Flock", "/jobs/JOB/clip.mp4", "/jobs/..%2Fx/csv", "/jobs/JOB/files"),
    *("/runs/1/metrics.json", "/assets/", "/jobs", "/etc/passwd", "/api/jobs/..%2F"),
)


def test_nothing_else_is_served(shop):
    client = shop.visit()
    job = send(client).json()["id"]
    for path in NOWHERE:
        answer = client.get(path.replace("JOB", job))
        assert answer.status_code == 404 and "import" not in answer.text, path


def test_the_page_and_its_answers_carry_their_policies(shop):
    client = shop.visit()
    page = client.get("/")
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy and "frame-ancestors" in policy
    for path in ("/", "/assets/serve.js", "/assets/serve.css", "/api/state", "/runs/1"):
        headers = client.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"
    assert "sandbox" in client.get("/runs/1").headers["content-security-policy"]
    assert client.get("/assets/serve.css").text.count("--paper") > 3  # with the shared look


def test_runs_are_compared_two_or_more_each_once(shop, worker):
    client = shop.visit()
    for wrong in ("", "run=0", "run=0&run=0", "run=0&run=7", "&".join(["run=0"] * 9)):
        answer = client.post(f"/api/comparisons?{wrong}", headers=OURS)
        assert answer.status_code in (400, 404), wrong
    answer = client.post("/api/comparisons?run=1&run=0", headers=OURS).json()
    assert answer["name"] == "a<b>&c against plain"
    told = wait_for(client, answer["id"], ("done",))
    assert told["result"]["files"] == ["report"]
    assert "report: compared" in client.get(f"/jobs/{answer['id']}/report").text


def test_a_name_is_shown_and_no_more():
    assert shown_name(quote("a/b\\c.mp4")) == "c.mp4"
    assert shown_name("%00%1b[31mred%e2%80%ae.mp4") == "[31mred.mp4"
    assert shown_name("") == shown_name("%2F") == "clip"
    assert (
        len(shown_name("x" * 5000 + ".mp4")) == 120
        and shown_name("x" * 500 + ".mp4")[-4:] == ".mp4"
    )
    assert shown_name("%ff%fe") == "\ufffd\ufffd"


def test_nothing_is_said_on_the_way(shop):
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        send(shop.visit())
    assert said.getvalue() == ""
