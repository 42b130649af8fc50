import numpy as np
import pytest

from collision.evaluation.distances import Distances, chance_of


def test_the_chance_of_a_share_is_that_of_draws():
    """80 held-out groups and 30 judged ones of one source: how often are 6 beyond the limit?"""
    generator = np.random.default_rng(0)
    draws = generator.random((20_000, 110))
    limit = np.sort(draws[:, :80], axis=1)[:, 76]  # the 77th of 80: .95 of 81, rounded up
    beyond = (draws[:, 80:] > limit[:, None]).sum(axis=1)
    for count in (1, 3, 6):
        drawn = (beyond >= count).mean()
        assert chance_of(count / 30, 30, 80) == pytest.approx(drawn, abs=0.01)
    assert chance_of(0.0, 30, 80) == 1
    assert chance_of(1.0, 30, 80) < 1e-6


def test_single_videos_are_in_a_file_of_their_own(tmp_path):
    distances = Distances(2, 2, 0.5, 0.05, 0.2, 0.9, {"near": 0.5, "a,b": 1.3})
    assert "by_video" not in distances.as_json() and distances.as_json()["median"] == 0.9
    distances.to_csv(tmp_path / "distances.csv")
    text = (tmp_path / "distances.csv").read_text()
    assert text == 'video,distance\n"a,b",1.3000\nnear,0.5000\n'
