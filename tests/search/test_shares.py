from __future__ import annotations

import numpy as np
import pytest

from collision.search.shares import shares

RNG = np.random.default_rng(0)
A = RNG.choice(["x", "y", "z"], 2000).tolist()
B = RNG.choice(["1", "2"], 2000).tolist()
EFFECT = {"x": 0.0, "y": 0.1, "z": 0.2}


def test_a_planted_effect_has_its_share_and_the_rest_has_none():
    effect = np.array([EFFECT[a] for a in A])
    scores = effect + RNG.normal(scale=effect.std(), size=2000)  # half of the differences
    found = shares({"a": A, "b": B}, scores.tolist())
    assert found["a"].alone == pytest.approx(0.5, abs=0.04)
    assert found["a"].beside == pytest.approx(0.5, abs=0.04)
    assert found["b"].alone < 0.01 and found["b"].beside < 0.01


def test_what_went_with_a_good_choice_has_a_share_alone_but_none_beside_it():
    follower = [a if RNG.random() < 0.9 else "other" for a in A]
    scores = [EFFECT[a] + 0.02 * float(RNG.normal()) for a in A]
    found = shares({"a": A, "follower": follower}, scores)
    assert found["follower"].alone > 0.5 and found["follower"].beside < 0.01


def test_two_names_of_one_thing_take_nothing_from_each_other_and_share_nothing_beside():
    found = shares({"a": A, "twin": [a * 2 for a in A]}, [EFFECT[a] + RNG.normal() for a in A])
    assert found["a"].beside is None and found["twin"].beside is None
    assert found["a"].alone == pytest.approx(found["twin"].alone)


def test_least_squares_agree_with_numpy():
    scores = RNG.normal(size=300)
    design = np.array([[a == "y", a == "z", b == "2", 1] for a, b in zip(A[:300], B, strict=False)])
    left = [
        np.linalg.lstsq(m.astype(float), scores, rcond=None)[1][0] for m in (design, design[:, 2:])
    ]
    noise = left[0] / (300 - 4)
    total = ((scores - scores.mean()) ** 2).sum()
    wanted = max(0.0, (left[1] - left[0] - 2 * noise) / (total + noise))
    assert shares({"a": A[:300], "b": B[:300]}, scores.tolist())["a"].beside == pytest.approx(
        wanted
    )


@pytest.mark.parametrize("count", [0, 1, 8])
def test_too_few_trials_give_no_share(count):
    found = shares({"a": A[:count], "b": B[:count]}, [0.5 + i for i in range(count)])
    assert all(one.alone is None and one.beside is None for one in found.values())
    same = shares({"a": A[:50]}, [0.5] * 50)
    assert same["a"].alone is None
