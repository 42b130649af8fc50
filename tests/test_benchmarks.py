"""What `make bench` and `make bench-gpu` write, with small sizes."""

import subprocess
import sys

import numpy as np
import pytest

from benchmarks import demo, run
from benchmarks.kit import Spent, Target, print_profile


def test_a_target_says_whether_its_median_is_met():
    ratios = np.array([0.7, 0.95, 0.96])
    assert Target("a", ratios, least=0.9).is_met and not Target("a", ratios, least=0.96).is_met
    assert Target("a", ratios, most=0.95).is_met and not Target("a", ratios, most=0.9).is_met
    assert Target("a", ratios, least=0.9).row == "| a | ≥ 0.9 | 0.95 | 0.70 to 0.96 | 3 | yes |"
    assert Target("a", ratios, most=0.9).row.endswith("| **no** |")


def test_what_is_spent_in_processes_is_told_apart():
    with Spent() as spent:
        subprocess.run([sys.executable, "-c", "sum(range(10**6))"], check=True)
    assert spent.children > 0 and spent.clock > 0
    both = spent + Spent(spent.clock, 1.0, 0.0)
    assert both.own == spent.own + 1 and both.clock == 2 * spent.clock
    words = Spent(clock=1.0, own=0.1, children=0.2).words(100, "video")
    assert words.startswith("3.0 ms of processor time a video, 2.0 in the processes")


def test_a_profile_names_what_took_longest(capsys):
    print_profile("sorting", lambda: sorted(range(1000), key=lambda n: -n))
    printed = capsys.readouterr().out
    assert (
        "Where the time goes: sorting" in printed and "{built-in method builtins.sorted}" in printed
    )


def test_the_demo_is_compared_with_a_checkout_that_can_run(tmp_path, capsys):
    with pytest.raises(SystemExit):
        demo.main([str(tmp_path)])
    assert "has no .venv: run `make .venv/.ready` there" in capsys.readouterr().err


def test_results_keep_the_sections_of_others(tmp_path):
    file = tmp_path / "RESULTS.md"
    run.keep(file, "one", "first")
    run.keep(file, "two", "second")
    run.keep(file, "one", "third")
    text = file.read_text()
    assert text.startswith("# Benchmarks") and text.count("## ") == 2
    assert "third" in text and "second" in text and "first" not in text


def test_tables_stay_tables():
    text = run.as_markdown(["begin", "| a |", "| --- |", "| 1 |", "", "end"])
    assert text == "```text\nbegin\n```\n\n| a |\n| --- |\n| 1 |\n\n```text\nend\n```"


@pytest.mark.slow
def test_a_benchmark_that_fails_is_told(tmp_path, monkeypatch):
    monkeypatch.setitem(run.BENCHMARKS, "extraction", (["--no-such-option"], []))
    file = tmp_path / "RESULTS.md"
    assert run.main(["extraction", "--output", str(file)]) == 1
    assert "failed with exit code 2" in file.read_text()


@pytest.mark.slow
def test_every_gpu_figure_comes_by_one_command(tmp_path):
    file = tmp_path / "RESULTS.md"
    assert run.main(["--gpu", "--small", "--output", str(file)]) == 0
    text = file.read_text()
    assert all(f"## {name}" in text for name in run.ON_GPU) and "failed" not in text
    assert set(run.SMALL_ON_GPU) == set(run.ON_GPU)
