"""The benchmark of training, at a size that takes no time."""

import pytest

from benchmarks.trainer import bare, heads, made, setup_of, study, trained, write_files


@pytest.fixture(scope="module")
def data():
    return {"train": made(16, 6, 3, 8, seed=0), "val": made(8, 2, 3, 8, seed=1)}


def test_all_heads_that_are_trained_are_measured():
    assert {"linear", "gru", "transformer", "zipformer"} <= set(heads())
    assert not {"logistic", "auto"} & set(heads())


def test_the_bare_loop_learns_what_ours_does(data):
    setup = setup_of("gru")
    assert bare(setup, data) == pytest.approx(trained(setup, data), abs=1e-6)


def test_the_study_learns_from_the_same_cuts(data, tmp_path, monkeypatch):
    monkeypatch.setattr("benchmarks.trainer.NUM_WORKERS", 0)
    files = [write_files(tmp_path / name, data[name]) for name in ("train", "val")]
    assert len(list(files[0].iterdir())) == len(data["train"])
    assert study(*files, num_epochs=20, batch_size=16, dim=8) > 0.5
