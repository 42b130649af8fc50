"""Planted shortcuts are found, noise is not, and nothing after the cut is used."""

from dataclasses import replace

import numpy as np
import pytest

from collision.audit import shortcuts
from collision.audit.probes import PROBES, Design, probe_scores
from collision.audit.shortcuts import (
    LIKELY,
    NOT_SHOWN,
    SHORTCUT,
    audit,
    judge,
    label_permutations,
    one_cut_a_video,
)
from collision.errors import MetricError
from collision.types import Example
from tests.kit.audit import made_up_facts, made_up_record

QUICK = {"num_permutations": 19, "num_resamples": 300}
CUT = 4.0


def made_up_set(num_videos=64, change=None, **record_changes):
    """Half are positives; ``change(facts, label)`` plants something."""
    records = {f"v{n}": made_up_record(n, n % 2, **record_changes) for n in range(num_videos)}
    facts = {}
    for number, (name, record) in enumerate(records.items()):
        made_up = made_up_facts(number)
        facts[name] = change(made_up, record.label) if change else made_up
    examples = [Example(name, CUT, record.label, 1.0) for name, record in records.items()]
    return examples, records, facts


@pytest.fixture
def only(monkeypatch):
    """Leave out the probes that a test does not ask about."""
    return lambda name: monkeypatch.setattr(shortcuts, "PROBES", {name: PROBES[name]})


def grades(found, target="label"):
    return {name: result["grade"] for name, result in found[target]["probes"].items()}


def heavier(facts, label, begin=None, end=None):
    sizes = facts.frame_bytes.copy()
    sizes[begin:end] = sizes[begin:end] * (1 + 0.5 * label)
    return replace(facts, frame_bytes=sizes, file_bytes=int(sizes.sum()))


def marked(facts, label):
    picture = facts.thumbnail.copy()
    picture[-1, -4:] = 240 if label else 20
    return replace(facts, thumbnail=picture)


def test_where_there_is_none_none_is_found():
    found = audit(*made_up_set(), **QUICK)
    assert set(grades(found).values()) == {NOT_SHOWN}
    assert "no better than by chance" in found["label"]["probes"]["file"]["sentence"]
    assert found["label"]["prevalence"] == 0.5
    assert "probes" not in found["split"]
    assert "of other videos there is no group" in found["split"]["reason"]


def test_a_heavier_class_is_found(only):
    only("file")
    found = audit(*made_up_set(change=heavier), **QUICK)
    assert grades(found)["file"] == SHORTCUT
    sentence = found["label"]["probes"]["file"]["sentence"]
    assert "without seeing a collision coming" in sentence and "chance is" in sentence


def test_what_comes_after_the_cut_is_seen_by_whole_file_alone():
    """A crash makes packets big: that is no shortcut, for no example reaches it."""

    def planted(facts, label):
        return marked(heavier(facts, label, begin=41), label)

    graded = grades(audit(*made_up_set(change=planted), **QUICK))
    assert graded.pop("whole_file") == SHORTCUT
    assert graded.pop("first_frame") == SHORTCUT  # of the mark there
    assert set(graded.values()) == {NOT_SHOWN}


def test_classes_that_are_cut_at_different_times_are_found(only):
    only("position")
    examples, records, facts = made_up_set(80)
    generator = np.random.default_rng(0)
    moved = [replace(e, end_time=3.6 if e.label else generator.uniform(2, 5)) for e in examples]
    assert grades(audit(moved, records, facts, **QUICK))["position"] == SHORTCUT


def test_splits_that_differ_are_found(only):
    only("file")
    examples, records, facts = made_up_set(120)
    generator = np.random.default_rng(0)
    for name, record in records.items():
        split = "test" if generator.random() < 0.5 else "train"
        records[name] = replace(record, split=split)
        facts[name] = heavier(facts[name], int(split == "test"))
    found = audit(examples, records, facts, **QUICK)
    assert grades(found)["file"] == NOT_SHOWN
    assert grades(found, "split")["file"] == SHORTCUT
    assert "test videos" in found["split"]["probes"]["file"]["sentence"]


def test_too_few_groups_give_no_interval_and_say_so(only):
    only("file")
    found = audit(*made_up_set(20, change=heavier), **QUICK)
    result = found["label"]["probes"]["file"]
    assert result["grade"] == LIKELY and result["ap"]["low"] is None
    assert "10 groups" in result["sentence"]


def test_groups_are_not_independent(only):
    """Ten drives, six clips each that look alike: a probe that knew the drive would win."""
    only("first_frame")
    examples, records, facts = made_up_set(60)
    drive_label = np.random.default_rng(3).permutation(np.arange(10) % 2)
    for number, name in enumerate(records):
        label = int(drive_label[number // 6])
        records[name] = replace(records[name], group=f"drive{number // 6}", label=label)
        facts[name] = replace(facts[name], thumbnail=made_up_facts(number // 6).thumbnail)
    examples = [replace(e, label=records[e.video].label) for e in examples]
    found = audit(examples, records, facts, **QUICK)
    assert grades(found)["first_frame"] == NOT_SHOWN


def test_a_perfect_ranking_is_a_shortcut_without_interval():
    labels = np.arange(80) % 2
    result = judge(labels[:, None].astype(float), labels, np.arange(80), **QUICK)
    assert result["ap"]["value"] == 1 and result["ap"]["low"] is None
    assert result["grade"] == SHORTCUT


@pytest.mark.parametrize("is_paired", [False, True])
def test_noise_is_rarely_called_a_shortcut(is_paired):
    generator = np.random.default_rng(0)
    wrong = 0
    for seed in range(4):
        groups = np.arange(80) // 2 if is_paired else np.arange(80)
        columns = generator.normal(size=(80, 10)) + generator.normal(size=(80, 10))[groups]
        wrong += judge(columns, np.arange(80) % 2, groups, **QUICK, seed=seed)["grade"] == SHORTCUT
    assert wrong <= 1


def test_permutations_keep_groups_together():
    groups = np.repeat(np.arange(12), 3)
    labels = (groups % 2).astype(np.int64)
    for permuted in label_permutations(labels, groups, 10, seed=0):
        assert permuted.mean() == labels.mean()
        assert all(len(set(permuted[groups == group])) == 1 for group in range(12))


def test_one_cut_a_video_is_the_middle_one():
    cuts = [Example(v, 5 - h, label, h) for v, label in (("a", 1), ("b", 0)) for h in (0.5, 1, 1.5)]
    assert [(e.video, e.horizon) for e in one_cut_a_video(cuts)] == [("a", 1), ("b", 1)]
    assert one_cut_a_video([]) == []


@pytest.mark.parametrize("name", [name for name, probe in PROBES.items() if probe.is_causal])
def test_probes_see_nothing_after_the_cut(name):
    examples, records, facts = made_up_set(20)
    design = Design(PROBES[name], records, facts).fit(examples)
    before = design.columns(examples)
    for video, known in facts.items():
        sizes = known.frame_bytes.copy()
        sizes[41:] = 9_999_999
        times = np.concatenate([known.frame_times[:41], 4.0 + 0.3 * np.arange(1, 20)])
        facts[video] = replace(
            known,
            frame_bytes=sizes,
            frame_times=times,
            duration=99.0,
            file_bytes=10**9,
            native_fps=3.3,
            hashes=known.hashes[:3],
            notes=("odd",),
        )
        facts[video] = replace(facts[video], frame_bytes=sizes[: len(times)])
    assert np.array_equal(design.columns(examples), before)


def test_probe_scores():
    examples, records, facts = made_up_set(60, change=heavier)
    train, test = examples[:40], [*examples[40:], Example("unreadable", 1.0, 1, 1.0)]
    scores = probe_scores(train, test, records, facts)
    assert set(scores) == {"file", "position", "first_frame"}
    assert all(values.shape == (21,) for values in scores.values())
    assert np.isnan(scores["file"][-1])
    labels = np.array([e.label for e in test[:-1]])
    assert scores["file"][:-1][labels == 1].min() > scores["file"][:-1][labels == 0].max()
    assert np.ptp(scores["position"][:-1]) < 1e-6  # all cuts are at one time
    with pytest.raises(MetricError, match="one class"):
        probe_scores([e for e in train if e.label], test, records, facts)
