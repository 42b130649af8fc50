"""The benchmark of training, at a size that takes no time."""

import pytest
import torch

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


def test_the_study_reads_a_file_a_cut_each_time(data, tmp_path, monkeypatch):
    monkeypatch.setattr("benchmarks.trainer.NUM_WORKERS", 0)
    files = [write_files(tmp_path / name, data[name]) for name in ("train", "val")]
    read, load = [], torch.load
    monkeypatch.setattr(torch, "load", lambda *a, **o: (read.append(a), load(*a, **o))[1])
    assert 0 < study(*files, num_epochs=3, batch_size=16, dim=8) <= 1
    assert len(read) == 3 * (len(data["train"]) + len(data["val"]))
