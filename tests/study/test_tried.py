import numpy as np
import pytest

from collision.errors import ConfigError
from collision.study.tried import (
    Trajectory,
    divergence_over_time,
    entropy,
    entropy_over_time,
    fit_log,
    jensen_shannon,
    points_in_time,
)

# arXiv 2603.15916, agent_dynamics.json (MIT): entropy of what was tried at 50, 100, ... 3150, 3199.
PUBLISHED = [
    *(0.4022, 0.5842, 1.7632, 2.1906, 2.2337, 2.397, 2.7011, 2.7529, 2.2884, 2.0942, 1.8107),
    *(1.5176, 0.9807, 0.935, 0.9201, 0.7768, 0.8561, 0.9436, 1.0424, 1.2224, 1.3969, 1.6021),
    *(1.6971, 1.8086, 2.2071, 2.4777, 2.641, 2.6417, 2.5739, 2.7534, 3.1134, 3.4084, 3.6639),
    *(3.8181, 3.8457, 3.983, 3.7449, 3.3762, 3.0548, 2.6869, 2.6406, 2.502, 2.5452, 2.4985),
    *(2.6464, 2.8083, 2.9279, 2.9358, 2.7742, 2.9357, 2.812, 2.8418, 2.8688, 2.8311, 2.7644),
    *(2.6021, 2.4843, 2.5032, 2.4948, 2.6073, 2.6129, 2.7012, 2.9019, 2.9595),
]

# Its parts: backbone and encoder; loss and pooling.
ARCHITECTURE = [
    *(
        0.4022,
        0.5842,
        1.7632,
        2.0859,
        2.0242,
        2.0994,
        2.1441,
        1.9705,
        1.3388,
        1.2059,
        1.0739,
        1.0835,
    ),
    *(
        0.7844,
        0.7593,
        0.7259,
        0.6086,
        0.7203,
        0.8607,
        0.9561,
        1.1309,
        1.2772,
        1.4995,
        1.5941,
        1.6858,
    ),
    *(2.0864, 2.3367, 2.4926, 2.5084, 2.3878, 2.4707, 2.624, 2.799, 2.9284, 3.0253, 3.0225, 3.1335),
    *(2.901, 2.5826, 2.2844, 1.9469, 1.817, 1.653, 1.7488, 1.7018, 1.894, 2.128, 2.3443, 2.4742),
    *(
        2.4645,
        2.7396,
        2.7665,
        2.7961,
        2.8223,
        2.8311,
        2.7644,
        2.6021,
        2.4843,
        2.5032,
        2.4948,
        2.6073,
    ),
    *(2.6129, 2.7012, 2.9019, 2.9595),
]
TRAINING = [
    *(0.0, 0.0, 0.0, 0.1414, 0.2603, 0.3659, 0.6772, 0.9172, 0.9994, 0.953, 0.7973, 0.5447),
    *(
        0.2164,
        0.2164,
        0.2457,
        0.2011,
        0.1691,
        0.1347,
        0.1347,
        0.1347,
        0.1522,
        0.1164,
        0.1164,
        0.1347,
    ),
    *(0.1347, 0.1691, 0.1691, 0.1522, 0.2164, 0.3502, 0.611, 0.7475, 0.827, 0.8862, 0.9075, 0.9405),
    *(
        0.9234,
        0.8747,
        0.8223,
        0.7868,
        0.8583,
        0.8666,
        0.827,
        0.8317,
        0.8125,
        0.7591,
        0.6702,
        0.5358,
    ),
    *(0.3621, 0.2457, 0.0549, 0.0549, 0.0549, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.1522),
    *(0.2598, 0.2598, 0.2598, 0.3257),
]


@pytest.mark.parametrize(("part", "k"), [(ARCHITECTURE, -0.5344), (TRAINING, -0.0351)])
def test_the_published_slopes_of_the_parts_of_entropy(part, k):
    """Both are k of H = h0 - k ln(n), so what is printed as a rate of decay is growth."""
    moments, _ = points_in_time(3199)
    assert fit_log(Trajectory(moments, np.array(part))).k == pytest.approx(k, abs=5e-5)


def test_the_published_line_through_entropy():
    moments, window = points_in_time(3199)
    assert len(moments) == 64 and window == 319
    line = fit_log(Trajectory(moments, np.array(PUBLISHED)))
    found = line.h0, line.k, line.r_squared
    assert found == pytest.approx((-1.5514, -0.5519, 0.3510), abs=5e-5)


def test_entropy_is_that_of_the_window():
    cells = np.concatenate([np.zeros(300), np.tile(np.arange(8), 50)])
    found = entropy_over_time(cells)
    assert found.runs.tolist() == list(range(50, 701, 50))
    assert (found.value[:6] == 0).all() and (found.value[9:] == 3).all()
    half = found.value[7]  # 100 runs of one cell, and 100 of eight
    assert half == pytest.approx(9 / 16 * np.log2(16 / 9) + 7 / 16 * np.log2(16), abs=0.01)


def test_the_divergence_is_that_of_entropies():
    rng = np.random.default_rng(0)
    first, second = rng.integers(0, 5, 12), rng.integers(1, 5, 12)
    p, q = first / first.sum(), second / second.sum()
    expected = entropy((p + q) / 2) - (entropy(p) + entropy(q)) / 2
    assert jensen_shannon(first, second) == pytest.approx(expected)
    assert jensen_shannon(first, 3 * first) == 0 and jensen_shannon(*np.diag([1, 9])) == 1


def test_proposers_that_part():
    cells = np.concatenate([np.zeros(100), np.tile([0, 1], 50), np.tile([2, 3], 50)])
    who = np.repeat(["x", "x", "y"], 100)
    found = divergence_over_time(cells, who, "x", "y")
    assert np.isnan(found.value[:4]).all() and found.value[-1] == pytest.approx(1)
    same = divergence_over_time(np.tile([0, 0, 1, 1], 75), np.tile(["x", "y"], 150), "x", "y")
    assert same.value == pytest.approx(0, abs=1e-3)
    with pytest.raises(ConfigError, match=r"No run was proposed by 'z'\. There are: x, y\."):
        divergence_over_time(cells, who, "x", "z")


def test_a_line_needs_two_moments():
    with pytest.raises(ConfigError, match="at least 2 moments"):
        fit_log(entropy_over_time(np.arange(40) % 2))
