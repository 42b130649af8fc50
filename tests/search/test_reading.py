import csv
import io
import shlex
from dataclasses import replace

from rich.console import Console

from collision.search.overview import About, chosen, overview, per_hour, progress, verdict
from collision.search.reading import as_csv, done, failures
from collision.search.space import Space
from collision.search.trials import Trial
from collision.study.analysis import analyse
from collision.study.table import read_runs
from tests.kit.search import SPACE, choices, score_of
from tests.search.test_winner import trial as made


def trials(count=24):
    found = []
    for number, point in enumerate(SPACE.sample(count, seed=2)):
        one = Trial(
            number, "done", "search", point, 0, proposer="tpe", parents=(0, 1)[: number % 3]
        )
        job = type("Job", (), {"point": point, "seed": 0})
        found.append(replace(one, value=score_of(job), seconds=1.5, scores={"test/night": 0.5}))
    return found


def rows_of(text):
    return list(csv.DictReader(io.StringIO(text)))


def test_a_csv_holds_all_that_is_known_of_a_trial():
    given = [*trials(3), replace(made(3, None), cause="no,\nroom")]
    rows = rows_of(as_csv(given, SPACE, ["limit=5", "dataset.name=a b"]))
    assert len(rows) == 4
    first, last = rows[2], rows[3]
    assert first["number"] == "2" and first["state"] == "done" and first["parents"] == "0 1"
    assert float(first["map"]) == given[2].value and first["test/night"] == "0.5"
    assert first["optimizer.lr"] == given[2].point.within["optimizer.lr"]
    assert (
        first["head"] == given[2].point.cell["head"] and first["experiment"] == given[2].experiment
    )
    assert last["map"] == "" and last["cause"] == "no,\nroom" and last["state"] == "failed"
    words = shlex.split(first["command"])
    assert words[:4] == ["python", "train.py", "limit=5", "dataset.name=a b"]
    assert words[4:] == [*given[2].point.overrides, "seed=0"]


def test_a_dimension_that_is_called_like_a_column_of_ours_keeps_its_name():
    space = Space("odd", "", (choices("seed", "one", "two"), choices("map", "x", "y")))
    point = next(iter(space.sample(1)))
    row = rows_of(as_csv([Trial(0, "done", "search", point, 7, 0.5)], space, []))[0]
    assert row["seed"] == point.cell["seed"] and row["_seed"] == "7"
    assert row["map"] == point.cell["map"] and row["_map"] == "0.5"
    assert len(rows_of(as_csv([], space, []))) == 0


def test_the_analysis_reads_it(tmp_path):
    file = tmp_path / "runs.csv"
    file.write_text(as_csv(done([*trials(), made(99, None)]), SPACE, []))
    runs = read_runs(file, ["backbone", "head"], "map", seed="seed", order="number")
    analysis = analyse(runs, "map", num_resamples=100)
    assert len(runs) == 24 and analysis.matters == ["head"]


def test_failures_are_counted_by_cause():
    given = [replace(made(n, None), cause="ab"[n % 3 == 0]) for n in range(7)]
    assert failures([*given, made(9, 0.5)]) == {"a": 4, "b": 3}


def shown(given, **about):
    console = Console(width=160, record=True, file=io.StringIO())
    facts = About("night1", SPACE, **about)
    console.print(overview(given, facts, now=1000.0))
    return console.export_text()


def test_the_table_says_how_far_it_is_and_what_is_best():
    given = [replace(one, started=900.0 + n, ended=901.0 + n) for n, one in enumerate(trials(10))]
    given += [replace(made(10, None), state="running"), replace(made(11, None), cause="[red]room")]
    given += [replace(made(12, None), state="waiting", retry_of=11)]
    text = shown(given, budget=20)
    assert "night1: 11 of 20 trials of the search ended; 1 running, 1 waiting, 1 failed" in text
    assert "[red]room" in text and "Best so far by cell, not confirmed" in text
    best = max(done(given), key=lambda one: one.value)
    assert chosen(best) in text and f"{best.value:.3f}".lstrip("0") in text
    assert "Pareto" not in text
    text = shown([replace(one, num_parameters=7, windows_per_second=3.0) for one in given],
                 objectives=("map", "parameters"))  # fmt: skip
    assert "Pareto front" in text


def test_trials_lost_with_their_worker_are_no_failures():
    def failed(number, cause, lost=False, retry_of=None):
        return replace(made(number, None), cause=cause, lost=lost, retry_of=retry_of)

    gone = "its worker is gone: it ended by signal 9"
    given = [made(0, 0.5), failed(1, gone, True), failed(2, gone, True), failed(3, "no room")]
    given += [
        replace(made(4, 0.6), retry_of=1),
        replace(made(5, None), state="running", retry_of=2),
    ]
    given += [replace(made(6, 0.7), retry_of=3)]
    text = shown(given, budget=4)
    assert "1 failed, 1 of them asked again, 2 lost with their worker, asked again" in text
    assert failures(given) == {"no room": 1} and gone not in text
    # One that has cost too many is asked no more, and is a failure.
    given += [failed(7, gone, True)]
    assert failures(given) == {"no room": 1, gone: 1}
    assert "2 failed, 1 of them asked again, 2 lost with their worker" in shown(given, budget=5)


def test_the_rate_is_that_of_the_latest_trials():
    about = About("a", SPACE, budget=100)
    given = [
        replace(made(n, 0.5, n / 99), started=10.0 * n, ended=10.0 * (n + 1)) for n in range(9)
    ]
    running = replace(made(9, None), state="running", started=90.0)
    assert round(per_hour([*given, running], 90.0)) == 360
    assert per_hour(given, 10_000.0) is None
    assert "360 trials an hour, 0:15:10 left" in progress([*given, running], about, 90.0)[1]


def test_the_verdict_names_the_winner_by_fresh_seeds_and_the_luck_beside_it():
    about = About("a", SPACE, base=("limit=5",))
    (first, second) = verdict([made(0, 0.9)], about)
    assert "Nothing is confirmed" in first and "luck is not known" in first
    assert second.endswith("seed=0") and "train.py limit=5" in second
    given = [made(0, 0.9, 0.1), made(1, 0.8, 0.2)]
    given += [made(2, 0.6, 0.1, 1, "confirm"), made(3, 0.62, 0.1, 2, "confirm")]
    given += [made(4, 0.7, 0.2, 1, "confirm"), made(5, 0.72, 0.2, 2, "confirm")]
    lines = verdict(given, about)
    assert "trial 1, mAP .710" in lines[0] and ".800 in the search, -.090 now" in lines[0]
    assert "by luck alone" in lines[1] and "degrees of freedom" in lines[1]
    assert "trial 0, has .610" in lines[2] and "no more than twice" in lines[2]
    assert given[1].point.overrides[0] in lines[3]
    assert verdict([made(0, None)], about) == ["No trial has a score: there is no best one."]
