from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from collision.__main__ import main
from collision.commands._entry import guarded
from collision.commands._runs import named_runs
from collision.commands.compare import run
from collision.metrics.comparison import compare as compare_scores
from collision.options import CompareOptions
from tests.conftest import ROOT, run_command
from tests.kit.experiments import compose
from tests.kit.scores import made_up_scores


@pytest.fixture
def compare(tmp_path, monkeypatch, capfd):
    """Run the verb with some options; give its exit code and output."""
    monkeypatch.setenv("COLUMNS", "160")

    def call(*runs, **options):
        given = CompareOptions(runs_root=tmp_path / "results", **options)
        code = guarded(lambda: run(given, [str(path) for path in runs]))
        output = "".join(capfd.readouterr())
        assert "Traceback" not in output
        return code, output

    return call


@pytest.fixture
def command(tmp_path, monkeypatch, capfd):
    """Type the verb; give its exit code and output."""
    monkeypatch.setenv("COLLISION_RUNS", str(tmp_path / "results"))
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.chdir(ROOT)

    def call(*arguments):
        return main(["compare", *map(str, arguments)]), "".join(capfd.readouterr())

    return call


def trained(folder, *seeds, dataset="nexar"):
    """What `train` leaves, as far as it matters here."""
    folder.mkdir(parents=True)
    for seed, scored in enumerate(seeds):
        scored.to_csv(folder / f"predictions_seed{seed}.csv")
    (folder / "metrics.json").write_text(json.dumps({"dataset": dataset}))
    return folder


def evaluated(folder, **scored_of):
    """What `evaluate` leaves: files that name their data set."""
    folder.mkdir(parents=True)
    for dataset, scored in scored_of.items():
        scored.to_csv(folder / f"predictions_{dataset}_seed0.csv")
    return folder


def result_of(output):
    return Path(re.search(r"Results: (.*)", output).group(1).strip())


def test_three_runs_give_tables_and_files(compare, tmp_path):
    runs = [
        trained(tmp_path / "plain", *(made_up_scores(60, seed=s, skill=1) for s in (1, 2, 3))),
        trained(tmp_path / "better", *(made_up_scores(60, seed=s, skill=3) for s in (4, 5))),
        evaluated(tmp_path / "same", nexar=made_up_scores(60, seed=6, skill=1)),
    ]
    code, output = compare(*runs, num_resamples=500)
    assert code == 0, output
    for word in ("Runs", "Against plain", "p, Holm", "corrected for 2 tests", "better", "same"):
        assert word in output
    folder = result_of(output)
    assert folder.parent == tmp_path / "results"
    data = json.loads((folder / "compare.json").read_text())
    assert data["reference"] == "plain"
    assert data["seeds"] == {"plain": [0, 1, 2], "better": [0, 1], "same": [0]}
    assert data["datasets"] == dict.fromkeys(("plain", "better", "same"), "nexar")
    assert (
        data["differences"]["better"]["p_adjusted"]
        < 0.05
        < data["differences"]["same"]["p_adjusted"]
    )
    assert data["provenance"]["command"]
    page = (folder / "compare.md").read_text()
    assert "![Differences with intervals](differences.png)" in page
    assert re.search(r"\| better \| \+\.\d{3} \[", page)
    assert np.asarray(Image.open(folder / "differences.png")).std() > 1


def test_the_difference_of_two_seeds_is_the_paired_one(compare, tmp_path):
    first, second = made_up_scores(40, seed=1), made_up_scores(40, seed=2)
    order = np.random.default_rng(0).permutation(len(second))
    columns = ("video", "group", "label", "horizon", "score")
    shuffled = replace(second, **{name: getattr(second, name)[order] for name in columns}, tags={})
    runs = trained(tmp_path / "a", first), trained(tmp_path / "b", shuffled)
    code, output = compare(*runs, num_resamples=300)
    assert code == 0
    found = json.loads((result_of(output) / "compare.json").read_text())["differences"]["b"]
    expected = compare_scores({"a": [first], "b": [second]}, num_resamples=300).differences["b"]
    for name in ("value", "low", "high", "p_value"):
        assert found[name] == pytest.approx(getattr(expected, name))


def test_one_of_several_data_sets(compare, tmp_path):
    day, night = made_up_scores(30, seed=1), made_up_scores(30, seed=2)
    both = evaluated(tmp_path / "both", synthetic=day, synthetic_night=night)
    other = evaluated(tmp_path / "other", synthetic_night=made_up_scores(30, seed=3))
    code, output = compare(other, both)
    assert code == 2 and "several data sets: synthetic, synthetic_night" in output
    code, output = compare(other, both, dataset="synthetic_night", num_resamples=50)
    assert code == 0, output
    found = json.loads((result_of(output) / "compare.json").read_text())
    assert found["datasets"] == {"other": "synthetic_night", "both": "synthetic_night"}
    code, output = compare(other, both, dataset="synthetic")
    assert code == 2
    assert "dataset=synthetic:" in output and "only scores of synthetic_night" in output


def test_every_data_set_has_a_name_to_choose_it_by():
    for path in (ROOT / "configs" / "dataset").glob("*.yaml"):
        assert compose("compare", f"dataset={path.stem}").dataset == path.stem


def test_folders_of_one_name_are_told_apart(compare, tmp_path):
    scored = made_up_scores(30)
    runs = trained(tmp_path / "a" / "run", scored), trained(tmp_path / "b" / "run", scored)
    code, output = compare(*runs, num_resamples=50)
    assert code == 0
    assert list(json.loads((result_of(output) / "compare.json").read_text())["runs"]) == [
        str(tmp_path / "a" / "run"),
        str(tmp_path / "b" / "run"),
    ]


def test_names_are_as_short_as_tells_runs_apart(tmp_path):
    stamps = ("2026-01-31_12-00-00", "2026-01-31_12-30-00")
    first, second = (tmp_path / f"{stamp}_gru" for stamp in stamps)
    other = tmp_path / f"{stamps[0]}_linear"
    for folder in (first, second, other):
        folder.mkdir()
    assert list(named_runs([str(first), str(other)])) == ["gru", "linear"]
    assert list(named_runs([str(first), str(second)])) == [first.name, second.name]
    for folder, sampling in ((first, "nexar"), (second, "badas")):
        parts = {"head": "gru", "sampling": sampling}
        (folder / "metrics.json").write_text(json.dumps({"parts": parts}))
    names = list(named_runs([str(first), str(second)]))
    assert names == ["sampling=nexar", "sampling=badas"]
    for folder, flip in ((first, "false"), (second, "true")):
        (folder / "metrics.json").write_text(json.dumps({"parts": {"sampling": "nexar"}}))
        config = f"runs_root: {folder}\nseeds: 3\nsampling:\n  flip: {flip}\n"
        (folder / "config.yaml").write_text(config)
    assert list(named_runs([str(first), str(second)])) == ["gru", "sampling.flip=True"]


def test_too_few_groups_are_said_to_be_so(compare, tmp_path):
    runs = [trained(tmp_path / name, made_up_scores(10, seed=i)) for i, name in enumerate("ab")]
    code, output = compare(*runs, num_resamples=50)
    assert code == 0
    assert "only 10 groups" in output
    assert "corrected for" not in output


def test_what_a_person_can_mend_is_a_sentence(compare, tmp_path):
    good = trained(tmp_path / "good", made_up_scores(30))
    empty = tmp_path / "empty"
    empty.mkdir()
    (empty / "config.yaml").touch()
    link = tmp_path / "latest"
    link.symlink_to(good)
    broken = trained(tmp_path / "broken", made_up_scores(30))
    (broken / "predictions_seed0.csv").write_text("video,group,label,horizon,score\na,g,1,x,1\n")
    changed = made_up_scores(30)
    changed = replace(changed, label=1 - changed.label)
    for arguments, words in {
        (good, tmp_path / "none"): ["no folder", "none"],
        (good, empty): ["empty", "interrupted", "resume="],
        (good, link): ["was given twice"],
        (good, good / "metrics.json"): ["no folder"],
        (good, trained(tmp_path / "more", made_up_scores(31))): ["'good' and 'more'", "in one set"],
        (good, trained(tmp_path / "labels", changed)): ["'labels'", "different labels"],
        (good, broken): ["row 2: horizon is 'x'"],
    }.items():
        code, output = compare(*arguments)
        assert code == 2, output
        for word in words:
            assert word in output
    assert not (tmp_path / "results").exists()


def test_options_and_runs_as_they_are_typed(command, tmp_path):
    scored = made_up_scores(30)
    runs = [evaluated(tmp_path / n, synthetic=scored, synthetic_night=scored) for n in "ab"]
    code, output = command(*runs, "dataset=synthetic_night", "num_resamples=50")
    assert code == 0, output
    assert json.loads((result_of(output) / "compare.json").read_text())["datasets"]["a"] == (
        "synthetic_night"
    )
    code, output = command(*runs, "dataset=mine")
    assert code == 2 and "dataset=mine:" in output
    code, output = command(*runs, "num_resamples=0")
    assert code == 2 and "num_resamples=0" in output
    code, output = command(runs[0])
    assert code == 2 and "two or more run folders" in output


def test_help_explains_with_two_examples(tmp_path):
    output = run_command(tmp_path, "compare", "--help")
    examples = output.partition("Examples")[2].partition("Options")[0]
    assert len([line for line in examples.splitlines() if line.startswith("  collision")]) == 2
    assert "$" not in output.partition("Defaults")[0]
