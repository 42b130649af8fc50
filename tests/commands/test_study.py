import importlib.util
import json

import numpy as np
import pytest

from collision.__main__ import main


@pytest.fixture
def analyse(tmp_path, monkeypatch, capfd):
    """Write a table and type the verb; give its exit code and output, and the folder of results."""
    monkeypatch.setenv("COLLISION_RUNS", str(tmp_path / "results"))
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.chdir(tmp_path)

    def call(header, rows, *options, action="analyse"):
        lines = [header, *(",".join(map(str, row)) for row in rows)]
        (tmp_path / "my runs.csv").write_text("\n".join(lines) + "\n")
        code = main(["study", action, "my runs.csv", "num_resamples=200", *options])
        folders = list((tmp_path / "results").glob("*_study*"))
        return code, "".join(capfd.readouterr()), folders[0] if folders else None

    return call


def rows_of(effect):
    rng = np.random.default_rng(0)
    for trial in range(36):
        head, seed, data = trial % 3, trial // 3 % 4, trial // 18
        score = 0.5 + effect * head + 0.3 * data + rng.normal(0, 0.01)
        yield f"head{head}", seed, f"[red]set{data}", score, trial


HEADER = "the head,seed,data,map,trial"
COLUMNS = ("factors=['the head']", "score=map", "seed=seed", "dataset=data", "order=trial")


def test_it_prints_and_writes_what_matters(analyse):
    code, output, folder = analyse(HEADER, rows_of(0.03), *COLUMNS)
    assert code == 0
    assert "What explains map" in output and "the head explains" in output
    assert "Blocks, taken out first: data." in output and str(folder) in output
    result = json.loads((folder / "study.json").read_text())
    assert result["matters"] == ["the head"] and result["file"] == "my runs.csv"
    assert result["blocks"] == ["data"] and result["provenance"]["command"]
    page = (folder / "study.md").read_text()
    assert "| the head | 2 |" in page and "the head explains" in page


def test_it_says_that_nothing_is_shown(analyse):
    code, output, folder = analyse(HEADER, rows_of(0), *COLUMNS)
    assert code == 0 and "No factor is shown to matter" in output
    assert "No factor is shown to matter" in (folder / "study.md").read_text()


def test_names_of_a_file_are_no_markup(analyse):
    rows = [(f"[red]{a}|<b>", 0.1 * n) for n, a in enumerate("xxyy")]
    code, output, folder = analyse("a,map", rows, "factors=[a]", "score=map")
    assert code == 0 and "[red]y|<b>" in output
    assert "\\[red\\]y\\|\\<b\\>" in (folder / "study.md").read_text()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("factors=[heat]", "score=map"), "has no column 'heat'. There are: the head, seed, data"),
        (("factors=['the head']", "score=data"), "which is no number"),
        (("factors=['the head']", "score=map", "blocks=[trial]"), "leaves nothing to shuffle"),
    ],
)
def test_a_mistake_is_a_sentence_and_leaves_no_folder(analyse, options, said):
    code, output, folder = analyse(HEADER, rows_of(0), *options)
    assert code == 2 and said in output and folder is None


def test_the_page_needs_no_other_file_and_holds_pictures_and_numbers(analyse):
    code, output, folder = analyse(HEADER, rows_of(0.03), *COLUMNS, "across=[data]")
    assert code == 0, output
    page = (folder / "study.html").read_text()
    assert page.count("<svg") == len(list((folder / "plots").glob("*.png"))) >= 4
    assert "src=" not in page.replace('src="data:', "") and 'href="http' not in page
    assert "36 runs in 3 of 3 combinations" in page and "<pre><code" in page
    text = (folder / "study.md").read_text()
    assert "![Effects with intervals](plots/effects.png)" in text
    assert "No inversion of two levels holds" in text + output
    result = json.loads((folder / "study.json").read_text())
    assert result["rankings"]["compared"] == 3 and result["leaks"]["saturated"] is False


def test_policies_are_compared(analyse):
    rng = np.random.default_rng(0)
    rows = [
        (policy, repeat, trial, rng.random(1 + 4 * (policy == "tpe")).max())
        for policy in ("random", "tpe")
        for repeat in range(6)
        for trial in range(12)
    ]
    columns = ("policy=policy", "repeat=repeat", "order=trial")
    code, output, folder = analyse("policy,repeat,trial,map", rows, *columns, action="policies")
    assert code == 0 and "Best map so far, mean over repeats" in output
    result = json.loads((folder / "study.json").read_text())
    assert result["efficiency"]["reference"] == "random" and result["efficiency"]["budget"] == 12
    assert (folder / "plots" / "efficiency.png").exists() and (folder / "study.html").exists()


def test_an_unknown_action_is_a_sentence(analyse):
    code, output, _ = analyse(HEADER, rows_of(0), *COLUMNS, action="analyze")
    assert code == 2 and "study has no action 'analyze'. There are: analyse, policies." in output


def test_without_statsmodels_the_mixed_model_is_a_sentence(analyse, monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "statsmodels" else found(name)
    )
    code, output, folder = analyse(HEADER, rows_of(0), *COLUMNS, "random=[seed]")
    assert code == 2 and "random=[...] needs statsmodels" in output and folder is None


def test_a_folder_of_runs_is_as_good_as_a_table(tmp_path, monkeypatch, capfd):
    """In the shape of orze: what was asked for in a YAML, beside what came of it."""
    monkeypatch.setenv("COLLISION_RUNS", str(tmp_path / "results"))
    rng = np.random.default_rng(0)
    for number in range(24):
        place = tmp_path / "orze_results" / f"idea-{number:04}"
        place.mkdir(parents=True)
        backbone, lr = ("vjepa2", "dinov3")[number % 2], (1e-3, 1e-4)[number // 2 % 2]
        config = f"model: {{backbone: {backbone}}}\ntraining: {{lr: {lr}}}\n"
        (place / "idea_config.yaml").write_text(config)
        status = "FAILED" if number == 5 else "COMPLETED"
        score = 0.7 + 0.1 * (number % 2) + rng.normal(0, 0.01)
        (place / "metrics.json").write_text(json.dumps({"status": status, "test_ap": score}))
    folder = str(tmp_path / "orze_results")
    factors = "factors=[model.backbone,training.lr]"
    code = main(["study", "analyse", folder, factors, "score=test_ap", "num_resamples=200"])
    output = "".join(capfd.readouterr())
    assert code == 0, output
    assert "Left out: 1 not finished, as their status says." in output
    (written,) = (tmp_path / "results").glob("*_study*")
    result = json.loads((written / "study.json").read_text())
    assert result["matters"] == ["model.backbone"] and result["rows"] == 23
    assert result["left_out"].startswith("Left out: 1")
    code = main(["study", "analyse", folder, "score=test_ap"])
    output = "".join(capfd.readouterr())
    assert code == 2 and "These differ between its runs: model.backbone, training.lr." in output
