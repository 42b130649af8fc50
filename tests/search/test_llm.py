"""Agents that propose: what they are told, and that what they answer is the trial that runs."""

import json
import multiprocessing
import os
import re
import signal
from dataclasses import replace
from pathlib import Path

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState, create_trial

from collision.search.ledger import Caps, Ledger, read_lines
from collision.search.masking import Mask
from collision.search.proposing import PARENTS, PROPOSER, distributions, suggested, values_of
from collision.search.space import Space
from tests.kit.llm_server import completion, proposals, scripted
from tests.kit.searching import (
    PLAIN,
    POINT,
    add,
    proposed,
    quest_of,
    sampler_of,
    small_space,
    small_study,
)


@pytest.fixture(autouse=True)
def no_key_and_no_proxy(monkeypatch):
    for name in ("OPENAI_API_KEY", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def space(tmp_path):
    return small_space(tmp_path)


def log_of(folder, agent=0):
    return list(read_lines(folder / f"agent_{agent}.jsonl"))


def history(study, space):
    """Two seeds of one cell, a worse one, two failures of one cause, one of another."""
    add(study, space, POINT, 0.8, seed=0, num_parameters=1000, scores={"test/night": 0.123456})
    add(study, space, POINT, 0.9, seed=1, num_parameters=1000)
    add(study, space, PLAIN, 0.6, num_parameters=2000)
    add(study, space, {**POINT, "head": "lstm"}, None, cause="training diverged at step 3")
    add(study, space, {**PLAIN, "head": "lstm"}, None, cause="training diverged at step 3")
    add(study, space, PLAIN, None, cause="CUDA out of memory")
    for number in range(10):
        add(study, space, {**PLAIN, "optimizer.lr": 0.005}, 0.4 + number / 100)


def test_leaderboard_failures_and_tpe_are_told_and_the_answer_is_the_trial(tmp_path, space):
    study = small_study()
    history(study, space)
    wanted = {**POINT, "head": "lstm", "optimizer.lr": 0.00321, "loss.gamma": 1.25}
    with scripted(lambda asked: proposals(wanted, parents=[0, 1, 999])) as server:
        study.sampler = sampler_of(server, quest_of(space, tmp_path, budget=50))
        trial, point = proposed(study, space)
    assert trial.params == wanted and point.changes["loss.gamma"] == 1.25
    frozen = study.trials[-1]
    assert frozen.user_attrs[PROPOSER] == "agent_0"
    assert frozen.user_attrs[PARENTS] == [0, 1]  # there is no trial 999

    (asked,) = server.asked
    told = asked.told
    first = told["leaderboard"][0]
    assert first["point"] == POINT and first["n"] == 2 and first["trials"] == [0, 1]
    assert first["mean"] == pytest.approx(0.85) and first["sd"] == pytest.approx(0.070711)
    assert first["num_parameters"] == 1000
    assert told["trials"] == {"done": 13, "failed": 3}
    assert [(one["cause"], one["count"]) for one in told["failures"]] == [
        ("training diverged at step 3", 2),
        ("CUDA out of memory", 1),
    ]
    assert told["choices"]["head"]["lstm"] == {"done": 0, "failed": 2}
    assert told["choices"]["head"]["gru"]["best"] == 0.9
    tpe = told["tpe"]
    assert tpe["good_trials"] == 2 and tpe["worst_good_score"] == 0.8
    assert tpe["values"]["head"]["gru"] == {"share_of_good": 1.0, "share_of_others": 0.0}
    assert tpe["values"]["optimizer.lr"]["good"] == [0.001] * 3
    assert set(tpe["next"]) in ({*POINT}, {*POINT} - {"loss.gamma"})
    space.named(tpe["next"])
    assert told["budget"] == {"calls_left": 500, "trials_left": 33}
    parts = told["parts"]["head"]
    assert parts["gru"]["causal"] is True and parts["gru"]["num_parameters"] == 107009
    assert "GRU" in parts["gru"]["about"] and parts["gru"]["options"]["layers"] == 1
    assert told["space"]["dimensions"]["loss.gamma"]["when"] == {"loss": ["focal"]}

    form = asked.body["response_format"]["json_schema"]
    assert form["strict"] is True
    shape = form["schema"]["properties"]["proposals"]["items"]["properties"]["point"]
    assert shape["properties"]["head"]["enum"] == ["gru", "lstm", "tcn"]
    assert shape["properties"]["optimizer.lr"]["maximum"] == 0.01
    assert shape["properties"]["loss.gamma"]["anyOf"][1] == {"type": "null"}
    assert asked.path == "/v1/chat/completions" and asked.body["model"] == "scripted"
    # Test scores are never told.
    assert "0.123456" not in asked.raw and "night" not in asked.raw


def test_all_that_was_said_is_logged_and_the_key_nowhere(tmp_path, space, monkeypatch):
    key = "sk-very-secret-0123456789"
    monkeypatch.setenv("MY_KEY", key)
    study = small_study()
    add(study, space, POINT, None, cause=f"the server said {key}")
    script = [proposals(POINT, rationale=f"your key is {key}"), completion(f"{key} no JSON")]
    with scripted(lambda asked: script[min(asked.number, 1)]) as server:
        quest = quest_of(space, tmp_path)
        options = {"key_variable": "MY_KEY", "price_in": 2.0, "price_out": 8.0}
        study.sampler = sampler_of(server, quest, **options)
        proposed(study, space)
        proposed(study, space)
    assert server.asked[0].headers["Authorization"] == f"Bearer {key}"
    assert all(key not in asked.raw for asked in server.asked)
    first, *others = log_of(tmp_path)
    assert first["messages"] == server.asked[0].body["messages"]
    assert "your key is [key]" in first["answer"]
    assert (first["tokens_in"], first["tokens_out"], first["trial"]) == (100, 10, 1)
    assert first["cost"] == pytest.approx((100 * 2 + 10 * 8) / 1e6)
    assert first["outcome"] == "ideas" and first["model"] == "scripted"
    assert [one["outcome"] for one in others] == ["malformed", "malformed"]
    for path in tmp_path.iterdir():
        assert key.encode() not in path.read_bytes(), path
    assert key not in json.dumps([trial.user_attrs for trial in study.trials[1:]])
    assert key not in repr(study.sampler.asking)


def test_nothing_of_the_machine_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr("collision.search.masking._names_of_this_machine", lambda: ("jdoe", "box7"))
    text = """
cells:
  head: [gru, lstm]
  init_from: [null, /home/jdoe/models/crash one]
"""
    space = small_space(tmp_path, text)
    study = small_study()
    secret = {"head": "gru", "init_from": "/home/jdoe/models/crash one"}
    cause = "cannot open '/data/my clips/hit 1.mp4' of jdoe on BOX7, see runs/a or C:\\x\\y, b.mp4"
    add(study, space, secret, None, cause=cause, owner="box7:12:ab")
    add(study, space, secret, 0.5, owner="box7:12:ab")
    answer = {"head": "lstm", "init_from": "choice 1"}
    with scripted(lambda asked: proposals(answer)) as server:
        study.sampler = sampler_of(server, quest_of(space, tmp_path))
        trial, _ = proposed(study, space)
    raw = server.asked[0].raw.lower()
    for word in ("jdoe", "box7", "/home", "/data", "my clips", "hit 1", "crash one", "runs/a"):
        assert word not in raw, word
    for word in ("c:", "b.mp4", "models"):
        assert word not in raw, word
    (failure,) = server.asked[0].told["failures"]
    assert failure["cause"] == (
        "cannot open [path] of [name] on [name], see [path] or [path] [file]"
    )
    names = server.asked[0].told["space"]["dimensions"]["init_from"]["choices"]
    assert names[0] == "null" and names[1].startswith("choice ")
    assert trial.params["init_from"] in ("null", secret["init_from"])


def test_obfuscation_hides_every_name_both_ways(tmp_path):
    space = Space.load("offline")
    study = small_study()
    points = [dict(p.values) for p in space.sample(20, seed=3)]
    for number, values in enumerate(points):
        ranges = ("optimizer.lr", "optimizer.weight_decay", "feature_dropout", "loss.gamma")
        known = {k: float(v) if k in ranges else v for k, v in values.items()}
        failed = number % 5 == 0
        cause = "zipformer needs head.dim; efficientnet_lite0 said no"
        add(study, space, known, None if failed else number / 20, cause=cause)
    mask = Mask(space, everything=True)
    real = {**known, "head": "retnet"}

    def answer(asked):
        return proposals(mask.hide(real), rationale="d1v1 is good")

    with scripted(answer) as server:
        study.sampler = sampler_of(server, quest_of(space, tmp_path), obfuscate=True)
        trial, _ = proposed(study, space)
        assert trial.params == real
        proposed(study, space)
    assert [t.user_attrs[PROPOSER] for t in study.trials[-2:]] == ["agent_0", "agent_0"]
    told = [asked.told for asked in server.asked]
    assert told[1]["your_memory"][0]["rationale"] == "d1v1 is good"
    assert told[0]["failures"][0]["cause"] == "cause 1"
    # Nothing that a person or a model would recognise: keys, choices, parts of their names.
    raw = " ".join(asked.raw for asked in server.asked).lower()
    names = {d.key for d in space.dimensions}
    names |= {c.name for d in space.dimensions for c in getattr(d, "choices", ())}
    plain = {"last", "mean", "max", "change", "attention", "linear", "ranking", "occurrence"}
    for name in names - plain:
        assert name.lower() not in raw, name
    for key, about in told[0]["space"]["dimensions"].items():
        choices = about.get("choices", [])
        assert all(re.fullmatch(rf"{key}v[0-9]+", choice) for choice in choices)
        assert re.fullmatch("d[0-9]+", key) and set(told[0]["leaderboard"][0]["point"]) <= {
            *told[0]["space"]["dimensions"]
        }
    tpe = told[0]["tpe"]
    assert {*tpe["values"], *tpe["next"]} <= {*told[0]["space"]["dimensions"]}
    for word in ("dashcam", "collision", "zipformer", "head.dim", "offline", "video"):
        assert word not in raw, word
    # The same names in another process.
    assert Mask(space, everything=True).hide(real) == mask.hide(real)


def test_each_agent_has_its_own_memory_model_and_queue(tmp_path, space):
    study = small_study()
    answers = {
        "a": proposals(POINT, PLAIN, rationale="of a"),
        "b": proposals({**PLAIN, "head": "lstm"}, rationale="of b"),
    }
    with scripted(lambda asked: answers[asked.body["model"]]) as server:
        samplers = [
            sampler_of(
                server,
                quest_of(space, tmp_path, worker=worker),
                model=["a", "b"],
                agents=2,
                proposals=2,
            )
            for worker in range(3)
        ]
        done = []
        for turn, worker in enumerate((0, 1, 2, 2, 1)):  # worker 2 asks agent 0 again
            study.sampler = samplers[worker]
            done.append(proposed(study, space, 0.5 + turn / 10)[0].params["head"])
    assert done == ["gru", "lstm", "tcn", "gru", "lstm"]
    assert [asked.body["model"] for asked in server.asked] == ["a", "b", "a", "b"]
    memory = [asked.told.get("your_memory", []) for asked in server.asked]
    assert memory[:2] == [[], []]
    assert [(one["rationale"], one["outcome"]) for one in memory[2]] == [
        ("of a", {"state": "done", "score": 0.5}),
        ("of a", {"state": "done", "score": 0.7}),
    ]
    assert [one["rationale"] for one in memory[3]] == ["of b"]
    assert {len(log_of(tmp_path, agent)) for agent in (0, 1)} == {2}
    assert [t.user_attrs[PROPOSER][-1] for t in study.trials] == ["0", "1", "0", "0", "1"]


def test_memory_is_limited_and_tells_failures(tmp_path, space):
    study = small_study()
    with scripted(lambda asked: proposals(POINT, rationale=f"number {asked.number}")) as server:
        study.sampler = sampler_of(server, quest_of(space, tmp_path), memory=2)
        for _ in range(3):
            trial, _ = proposed(study, space, score=None, cause="it burnt")
            study.tell(trial, state=TrialState.FAIL)
        proposed(study, space)
    last = server.asked[-1].told["your_memory"]
    assert [one["rationale"] for one in last] == ["number 1", "number 2"]
    assert last[0]["outcome"] == {"state": "failed", "cause": "it burnt"}
    assert "your_memory" not in server.asked[0].told


def test_a_share_stays_with_tpe(tmp_path, space):
    study = small_study()
    with scripted(lambda asked: proposals(POINT, PLAIN)) as server:
        quest = quest_of(space, tmp_path, seed=4)
        study.sampler = sampler_of(server, quest, mix=0.7, proposals=2)
        for number in range(80):
            proposed(study, space, 0.5 + number / 1000)
    by = [trial.user_attrs[PROPOSER] for trial in study.trials]
    assert set(by) == {"tpe", "agent_0"}
    assert 0.55 < by.count("tpe") / len(by) < 0.85
    # Who proposes follows from the number of the trial: a process that is restarted agrees.
    policy = study.sampler._stays_with_tpe
    assert [name == "tpe" for name in by] == [policy(4, number) for number in range(80)]


def test_all_and_nothing_may_stay_with_tpe(tmp_path, space):
    study = small_study()
    study.sampler = sampler_of(None, quest_of(space, tmp_path), mix=1.0)
    for _ in range(5):
        proposed(study, space)
    assert {trial.user_attrs[PROPOSER] for trial in study.trials} == {"tpe"}
    assert not list(tmp_path.glob("*.jsonl"))


def test_tpes_share_is_as_good_as_tpe(tmp_path, space):
    """It learns: late points are in the good half far more often than chance."""
    study = small_study()
    study.sampler = sampler_of(None, quest_of(space, tmp_path), mix=1.0)
    for _ in range(60):
        trial = study.ask()
        point = suggested(space, trial)
        study.tell(trial, point.values["head"] == "tcn" and point.values["loss"] == "bce")
    late = [t.params["head"] == "tcn" and t.params["loss"] == "bce" for t in study.trials[30:]]
    assert sum(late) > 15  # by chance 5


def test_a_retry_neither_asks_nor_renames(tmp_path, space):
    study = small_study()
    with scripted(lambda asked: proposals(POINT)) as server:
        study.sampler = sampler_of(server, quest_of(space, tmp_path))
        params = {key: value for key, value in PLAIN.items() if value is not None}
        study.enqueue_trial(params, user_attrs={PROPOSER: "agent_7"})
        trial, _ = proposed(study, space)
    assert not server.asked and trial.params == params
    assert study.trials[0].user_attrs[PROPOSER] == "agent_7"


def die_before_the_trial(folder, url, at):
    """Be killed as soon as the answer is there (0), or as its idea was taken (1)."""
    space = Space.load(str(folder / "small.yaml"))
    study = optuna.load_study(
        study_name="s", storage=JournalStorage(JournalFileBackend(str(folder / "journal")))
    )
    server = type("Server", (), {"url": url})
    study.sampler = sampler_of(server, quest_of(space, folder), proposals=2)
    agent, take = study.sampler.agent, study.sampler.agent.take

    def killed(*given):
        if agent.ideas():
            if at:
                take(*given)
            os.kill(os.getpid(), signal.SIGKILL)
        return take(*given)

    agent.take = killed
    proposed(study, space)


@pytest.mark.parametrize("at", [0, 1])
def test_what_an_agent_answered_survives_a_kill_and_runs_once(tmp_path, space, at):
    storage = JournalStorage(JournalFileBackend(str(tmp_path / "journal")))
    study = small_study(study_name="s", storage=storage)
    with scripted(lambda asked: proposals(POINT, PLAIN)) as server:
        process = multiprocessing.get_context("fork").Process(
            target=die_before_the_trial, args=(tmp_path, server.url, at)
        )
        process.start()
        process.join()
        assert process.exitcode == -signal.SIGKILL and len(server.asked) == 1
        study.sampler = sampler_of(server, quest_of(space, tmp_path), proposals=2)
        (lost,) = study.get_trials()
        assert not lost.params
        if at:  # the engine sees that its worker is gone
            study.tell(lost.number, state=TrialState.FAIL)
        heads = [proposed(study, space)[0].params["head"] for _ in range(2)]
        assert heads == ["gru", "tcn"] and len(server.asked) == 1
        proposed(study, space)
        assert len(server.asked) == 2


def test_an_idea_is_not_taken_from_a_trial_that_still_begins(tmp_path, space):
    """Another process may be about to give it its point."""
    study = small_study()
    with scripted(lambda asked: proposals(POINT, PLAIN)) as server:
        sampler = sampler_of(server, quest_of(space, tmp_path), proposals=2)
        study.sampler = sampler
        begun = study.ask()
        sampler.propose(study, begun.number)
        assert proposed(study, space)[0].params["head"] == "tcn"


def call_many(folder, url):
    space = Space.load(str(folder / "small.yaml"))
    study = small_study()
    study.sampler = sampler_of(
        type("Server", (), {"url": url}), quest_of(space, folder), max_calls=7
    )
    for _ in range(6):
        proposed(study, space)


def test_processes_share_the_caps(tmp_path, space):
    with scripted(lambda asked: proposals(POINT)) as server:
        context = multiprocessing.get_context("fork")
        workers = [context.Process(target=call_many, args=(tmp_path, server.url)) for _ in range(3)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        assert [worker.exitcode for worker in workers] == [0, 0, 0]
    assert len(server.asked) == 7
    assert Ledger(tmp_path, Caps()).spent().calls == 7


@pytest.mark.parametrize(
    ("cap", "calls"),
    [
        ({"max_calls": 2}, 2),
        # 150 tokens a call were spent; one more may take 90 and those of what is told.
        ({"max_tokens": 5000, "answer_tokens": 90}, None),
        ({"max_cost": 0.05, "price_in": 10.0, "price_out": 10.0, "answer_tokens": 90}, None),
        ({"max_calls": 0}, 0),
    ],
    ids=str,
)
def test_at_a_cap_tpe_goes_on_and_it_is_said_once(tmp_path, space, caplog, cap, calls):
    study = small_study()
    answer = json.dumps({"proposals": [{"point": POINT, "rationale": "", "parents": []}]})
    with scripted(lambda asked: completion(answer, (100, 1000))) as server:
        for worker in range(2):
            quest = quest_of(space, tmp_path, worker=worker)
            study.sampler = sampler_of(server, quest, **cap)
            for _ in range(4):
                proposed(study, space)
    by = [trial.user_attrs[PROPOSER] for trial in study.trials]
    num = len(server.asked)
    assert num == calls if calls is not None else 0 < num < 6
    assert by == ["agent_0"] * num + ["tpe for agent_0"] * (8 - num)
    name = next(iter(cap))
    said = [record.getMessage() for record in caplog.records]
    assert [f"policy.{name}=" in line for line in said] == [True], said
    spent = Ledger(tmp_path, Caps()).spent()
    assert (spent.calls, spent.tokens) == (num, 1100 * num)
    if "price_in" in cap:
        assert spent.cost == pytest.approx(num * 0.011) and spent.cost <= cap["max_cost"]


def test_a_higher_cap_goes_on(tmp_path, space):
    study = small_study()
    with scripted(lambda asked: proposals(POINT)) as server:
        for cap in (1, 3):
            study.sampler = sampler_of(server, quest_of(space, tmp_path), max_calls=cap)
            for _ in range(4):
                proposed(study, space)
    assert len(server.asked) == 3


def test_tokens_that_a_server_does_not_count_are_estimated(tmp_path, space):
    study = small_study()
    answer = json.dumps({"proposals": [{"point": POINT, "rationale": "", "parents": []}]})
    for counts in (None, (-5, 3), ("many", 3), (True, 3), (10**12, 3)):
        with scripted(lambda asked, counts=counts: completion(answer, counts)) as server:
            study.sampler = sampler_of(server, quest_of(space, tmp_path), answer_tokens=50)
            proposed(study, space)
        line = log_of(tmp_path)[-1]
        assert line["estimated"] and line["tokens_out"] == 50 and 500 < line["tokens_in"] < 5000


def test_without_structured_output_the_schema_is_told(tmp_path, space):
    study = small_study()
    body = {"proposals": [{"point": POINT, "rationale": "x", "parents": []}]}
    fenced = f"```json\n{json.dumps(body)}\n```"
    with scripted(lambda asked: completion(fenced)) as server:
        options = {"structured": False, "token_option": "max_tokens", "answer_tokens": 321}
        study.sampler = sampler_of(server, quest_of(space, tmp_path), **options)
        trial, _ = proposed(study, space)
    sent = server.asked[0].body
    assert trial.params == POINT and "response_format" not in sent
    assert '"enum": ["gru", "lstm", "tcn"]' in sent["messages"][0]["content"]
    assert sent["max_tokens"] == 321 and "max_completion_tokens" not in sent


def test_a_journal_and_two_objectives(tmp_path, space):
    storage = JournalStorage(JournalFileBackend(str(tmp_path / "journal")))
    study = optuna.create_study(storage=storage, directions=["maximize", "minimize"])
    with scripted(lambda asked: proposals(POINT)) as server:
        quest = quest_of(space, tmp_path)
        study.sampler = sampler_of(server, replace(quest, directions=study.directions))
        for number in range(13):
            trial = study.ask()
            suggested(space, trial)
            study.tell(trial, [number / 20, 1000.0])
    told = server.asked[-1].told
    assert told["objectives"] == {
        "score": "higher is better",
        "objective 2": "lower is better",
    }
    assert told["recent"][-1]["scores"] == [0.55, 1000.0]


def test_a_running_trial_is_told_and_its_own_is_not(tmp_path, space):
    study = small_study()
    with scripted(lambda asked: proposals(PLAIN)) as server:
        study.sampler = sampler_of(server, quest_of(space, tmp_path))
        proposed(study, space, score=None)
        proposed(study, space)
    (one,) = server.asked[1].told["recent"]
    assert one["state"] == "running" and one["trial"] == 0 and one["proposer"] == "agent_0"


def test_logs_of_a_search_are_its_folders(tmp_path, space):
    study = small_study()
    with scripted(lambda asked: proposals(POINT)) as server:
        study.sampler = sampler_of(server, quest_of(space, tmp_path))
        proposed(study, space)
    names = {path.name for path in Path(tmp_path).iterdir() if path.suffix == ".jsonl"}
    assert names == {"agent_0.jsonl", "agent_0_ideas.jsonl", "llm_calls.jsonl"}


def test_the_size_of_a_request_does_not_grow_with_the_search(tmp_path):
    """The page says below 40 kB."""
    space = Space.load("offline")
    kinds, sizes = distributions(space), []
    answer = values_of(space, next(space.sample(1, seed=9)))
    for count in (30, 400):
        study = small_study()
        points = [values_of(space, point) for point in space.sample(count, seed=1)]
        study.add_trials(
            [
                create_trial(
                    state=TrialState.FAIL if number % 10 == 0 else TrialState.COMPLETE,
                    value=None if number % 10 == 0 else number / count,
                    params=values,
                    distributions={key: kinds[key] for key in values},
                    user_attrs={"cause": f"cause {number} " + "x" * 1000, "num_parameters": 1000},
                )
                for number, values in enumerate(points)
            ]
        )
        with scripted(lambda asked: proposals(answer)) as server:
            study.sampler = sampler_of(server, quest_of(space, tmp_path / str(count)))
            (tmp_path / str(count)).mkdir()
            proposed(study, space)
        sizes.append(len(server.asked[0].raw))
    assert max(sizes) < 40_000 and sizes[1] < 1.5 * sizes[0]


def test_a_rationale_is_told_under_the_names_it_was_written_in(tmp_path, space):
    study = small_study()
    mask = Mask(space, everything=True)
    with scripted(lambda asked: proposals(POINT, rationale="tcn next")) as server:
        study.sampler = sampler_of(server, quest_of(space, tmp_path))
        proposed(study, space)
    with scripted(lambda asked: proposals(mask.hide(POINT), rationale="d1v1 next")) as server:
        study.sampler = sampler_of(server, quest_of(space, tmp_path), obfuscate=True)
        proposed(study, space)
        proposed(study, space)
    memory = [asked.told["your_memory"] for asked in server.asked]
    assert [[one.get("rationale") for one in own] for own in memory] == [
        [None],
        [None, "d1v1 next"],
    ]
    assert all("tcn" not in asked.raw for asked in server.asked)
