"""Folders of runs: orze's, ours, any other, and those that mean no good."""

import json
import math

import pytest
import yaml

from collision.errors import ConfigError
from collision.options import StudyOptions
from collision.study import folders
from collision.study.folders import of_folder


def options(**given):
    given = {"factors": ("model.backbone",), "score": "test_ap", **given}
    return StudyOptions(**given)


def write(place, config, metrics, *, config_name="idea_config.yaml", metrics_name="metrics.json"):
    place.mkdir(parents=True)
    if config is not None:
        (place / config_name).write_text(config if isinstance(config, str) else yaml.dump(config))
    if metrics is not None:
        (place / metrics_name).write_text(
            metrics if isinstance(metrics, str) else json.dumps(metrics)
        )


def config(backbone="vjepa2", **training):
    return {"model": {"backbone": backbone, "heads": [4, 8]}, "training": training}


def came(score, status="COMPLETED"):
    return {"status": status, "test_ap": score, "training_time": 142.5}


def test_a_folder_in_the_shape_of_orze(tmp_path):
    write(tmp_path / "idea-0001", config(lr=1e-3), came(0.7))
    write(tmp_path / "idea-0002", config("dinov3", lr=1e-4, amp=True, seed=None), came(0.6))
    resolved = {"config_name": "resolved_config.yaml"}
    write(tmp_path / "idea-0003", config("siglip2"), came(0.8), **resolved)
    (tmp_path / "idea-0003" / "idea_config.yaml").write_text("model: {backbone: other}")
    write(tmp_path / "idea-0004", config(), came(0.1, "FAILED"))
    write(tmp_path / "idea-0005", config(), None)
    write(tmp_path / "idea-0006", None, came(0.2))
    write(tmp_path / "_research_logs", config(), came(0.3))
    write(tmp_path / ".orze", config(), came(0.3))
    (tmp_path / "report.md").write_text("# Leaderboard")
    found_options, table, found = of_folder(options(), tmp_path)
    assert found_options.seed is None or found_options.seed == "seed"
    assert table.text("model.backbone").tolist() == ["vjepa2", "dinov3", "siglip2"]
    assert table.numbers("test_ap").tolist() == [0.7, 0.6, 0.8]
    assert table.text("training.lr").tolist() == ["0.001", "0.0001", "none"]
    assert table.text("training.amp").tolist() == ["none", "true", "none"]
    assert table.text("model.heads").tolist() == ["[4, 8]"] * 3
    assert table.text("run").tolist() == ["idea-0001", "idea-0002", "idea-0003"]
    assert found.words() == (
        "Left out: 1 not finished, as their status says, 1 without a config, 1 without metrics."
    )


def test_a_folder_of_ours(tmp_path):
    """A row for each seed of a run; `latest` is a link."""
    for name, head, scores in (("a", "gru", [0.8, 0.9]), ("b", "linear", [0.7, 0.6])):
        mean = {"value": sum(scores) / 2, "low": None, "sd": 0.1, "seeds": scores}
        metrics = {
            "seeds": [3, 4],
            "dataset": "synthetic",
            "ap": {"mean": mean, "0.5": {"value": 0.5, "seeds": None}},
            "auc": {"mean": {"value": 0.9, "seeds": [0.91, 0.89]}},
        }
        asked = {
            "dataset": {"name": "nexar", "options": {"root": "data"}},
            "backbone": {"name": "vjepa2", "options": {"size": "L"}},
            "head": {"name": head, "options": {"dim": 64, "name": "inner"}},
            "seed": 3,
            "fusion": None,
        }
        write(tmp_path / name, asked, metrics, config_name="config.yaml")
    (tmp_path / "latest").symlink_to(tmp_path / "a")
    found_options, table, found = of_folder(options(factors=("head",), score="map"), tmp_path)
    assert found.words() == "" and len(table) == 4
    assert table.text("head").tolist() == ["gru", "gru", "linear", "linear"]
    assert table.text("head.dim").tolist() == ["64"] * 4
    assert table.text("seed").tolist() == ["3", "4", "3", "4"] and found_options.seed == "seed"
    assert table.numbers("map").tolist() == [0.8, 0.9, 0.7, 0.6]
    assert table.numbers("ap.0.5").tolist() == [0.5] * 4
    assert table.numbers("auc.mean").tolist() == [0.91, 0.89] * 2
    assert table.text("dataset").tolist() == ["nexar"] * 4


def test_any_folder_at_any_depth(tmp_path):
    any_name = {"config_name": "config.json", "metrics_name": "results.json"}
    for place, backbone, value in (("x/y/1", "a", 1), ("x/2", "b", 0.5)):
        text = json.dumps({"model": {"backbone": backbone}, "test_ap": "asked"})
        write(tmp_path / place, text, {"test_ap": value}, **any_name)
    _, table, found = of_folder(options(score="metrics.test_ap"), tmp_path)
    assert sorted(table.text("run").tolist()) == ["x/2", "x/y/1"]
    assert sorted(table.numbers("metrics.test_ap").tolist()) == [0.5, 1.0]
    assert set(table.text("test_ap")) == {"asked"} and not found.left_out


BOMB = "a: &a [x]\n" + "\n".join(
    f"b{n}: &b{n} {{{', '.join(f'k{k}: *b{n - 1}' for k in range(9))}}}" for n in range(1, 9)
).replace("*b0", "*a")


@pytest.mark.parametrize(
    ("asked", "metrics", "why"),
    [
        ("!!python/object/apply:os.system ['touch written']", came(1), "damaged"),
        ("[", came(1), "damaged"),
        ("- a list", came(1), "damaged"),
        (config(), "[" * 100_000, "damaged"),
        (config(), "{", "damaged"),
        (config(), '{"test_ap": NaN}', "without a number 'test_ap'"),
        (config(), '{"test_ap": 1e999}', "without a number 'test_ap'"),
        (config(), '{"test_ap": "0.9"}', "without a number 'test_ap'"),
        (config(), '{"test_ap": true}', "without a number 'test_ap'"),
        ("x: " + "y" * (1 << 20), came(1), "with files that are too large"),
        (BOMB, came(1), "too large or too deep"),
        ("a: &a {b: *a}", came(1), "too large or too deep"),
    ],
)
def test_what_means_no_good_is_left_out_and_counted(tmp_path, monkeypatch, asked, metrics, why):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "runs" / "good", config(), came(0.5))
    write(tmp_path / "runs" / "bad", asked, metrics)
    _, table, found = of_folder(options(), tmp_path / "runs")
    assert table.text("run").tolist() == ["good"]
    assert found.left_out == {why: 1}
    assert not (tmp_path / "written").exists()


def test_links_out_of_the_folder_are_not_followed(tmp_path):
    secret = tmp_path / "secret.yaml"
    secret.write_text("model: {backbone: secret}")
    write(tmp_path / "runs" / "good", config(), came(0.5))
    write(tmp_path / "runs" / "linked", None, came(0.5))
    (tmp_path / "runs" / "linked" / "idea_config.yaml").symlink_to(secret)
    write(tmp_path / "elsewhere", config("secret"), came(0.5))
    (tmp_path / "runs" / "folder").symlink_to(tmp_path / "elsewhere")
    _, table, found = of_folder(options(), tmp_path / "runs")
    assert set(table.text("model.backbone")) == {"vjepa2"} and len(table) == 1
    assert found.left_out == {"without a config": 1}


def test_more_runs_than_there_is_room_for(tmp_path, monkeypatch):
    monkeypatch.setattr(folders, "_MOST_RUNS", 2)
    for number in range(4):
        write(tmp_path / str(number), config(), came(0.5))
    _, table, found = of_folder(options(), tmp_path)
    assert len(table) == 2 and found.left_out == {"beyond the first 2 runs": 2}


def test_a_mistake_is_a_sentence(tmp_path):
    with pytest.raises(ConfigError, match=r"holds no finished run with a score=test_ap: a run is"):
        of_folder(options(), tmp_path)
    for number, lr in enumerate((0.1, 0.1, 0.2, 0.2)):
        write(tmp_path / str(number), config(lr=lr, number=math.pi + number), came(0.5 + lr))
    with pytest.raises(ConfigError, match=r"These differ between its runs: training\.lr\.$"):
        of_folder(options(factors=()), tmp_path)
    with pytest.raises(ConfigError, match=r"Left out: 4 without a number 'map'\."):
        of_folder(options(score="map"), tmp_path)
