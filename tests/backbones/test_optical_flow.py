import cv2
import numpy as np
import pytest
import torch

from collision.backbones.optical_flow import OpticalFlow, fit_focus
from collision.errors import ConfigError
from collision.features.fingerprint import fingerprint

ROWS, COLUMNS, FPS = 4, 6, 10
HEIGHT, WIDTH, NUM_FRAMES = 144, 252, 4


def texture(height, width, seed=0):
    noise = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    return cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 3), None, 0, 255, cv2.NORM_MINMAX)


def film(motion, height=HEIGHT, width=WIDTH, num_frames=NUM_FRAMES, centre=(0.0, 0.0)):
    """Move a picture: frame k is seen through ``motion`` applied k times about ``centre``.

    ``motion`` is 3 x 3, in pixels from the centre, which is given in pixels from the middle.
    """
    picture = texture(2 * height, 2 * width)
    to_texture = np.float64([[1, 0, width], [0, 1, height], [0, 0, 1]])
    to_centre = np.eye(3)
    to_centre[:2, 2] = -(width / 2 - 0.5) - centre[0], -(height / 2 - 0.5) - centre[1]
    frames = []
    for step in range(num_frames):
        seen = np.linalg.inv(np.linalg.matrix_power(np.float64(motion), step))
        matrix = (to_texture @ seen @ to_centre)[:2]
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        frames.append(cv2.warpAffine(picture, matrix, (width, height), flags=flags))
    return np.stack(frames)


def shift(right, down):
    return [[1, 0, right], [0, 1, down], [0, 0, 1]]


def zoom(factor):
    return np.diag([factor, factor, 1])


def turn(angle):
    """Clockwise as seen, because rows count downwards."""
    return [
        [np.cos(angle), -np.sin(angle), 0],
        [np.sin(angle), np.cos(angle), 0],
        [0, 0, 1],
    ]


def describe(frames, **options):
    """Give cells ``[S, R, C, 5]`` and focus ``[S, 3]``."""
    height, width = frames.shape[1:3]
    sizes = {"num_frames": len(frames), "fps": FPS, "height": height, "width": width}
    backbone = OpticalFlow(ROWS, COLUMNS, **{**sizes, **options})
    features = backbone(torch.from_numpy(frames)[None])[0].numpy()
    assert features.shape == (backbone.spec.num_steps, backbone.spec.feature_dim)
    return features[:, :-3].reshape(-1, ROWS, COLUMNS, 5), features[:, -3:]


def inner(cells, feature):
    """The mean of a feature over the cells that do not touch the border."""
    return cells[:, 1:-1, 1:-1, FEATURES.index(feature)].mean()


FEATURES = ["right", "down", "divergence", "rotation", "residual"]


def test_nothing_moves():
    cells, focus = describe(film(np.eye(3)))
    assert not cells.any() and not focus.any()


@pytest.mark.parametrize(("right", "down"), [(3, 0), (-4, 0), (0, 2), (2, -3)])
def test_a_shift_is_mean_flow_in_frame_widths_a_second(right, down):
    cells, focus = describe(film(shift(right, down)))
    assert inner(cells, "right") == pytest.approx(right * FPS / WIDTH, abs=0.004)
    assert inner(cells, "down") == pytest.approx(down * FPS / WIDTH, abs=0.004)
    assert abs(inner(cells, "divergence")) < 0.02 and abs(inner(cells, "rotation")) < 0.02
    assert inner(cells, "residual") < 0.004
    # It leads away from a point at infinity on the other side.
    speed = np.hypot(right, down) * FPS / WIDTH
    expected = [-right * FPS / WIDTH, -down * FPS / WIDTH, 0]
    np.testing.assert_allclose(focus.mean(0), expected, atol=0.05 * speed)


@pytest.mark.parametrize("factor", [1.02, 1.04, 1 / 1.03])
def test_a_zoom_is_divergence_and_has_no_residual(factor):
    cells, focus = describe(film(zoom(factor)))
    assert inner(cells, "divergence") == pytest.approx(2 * (factor - 1) * FPS, rel=0.06)
    assert abs(inner(cells, "rotation")) < 0.02
    assert abs(inner(cells, "right")) < 0.004 and abs(inner(cells, "down")) < 0.004
    assert inner(cells, "residual") < 0.005
    assert (np.sign(focus[:, 2]) == np.sign(factor - 1)).all()


@pytest.mark.parametrize("angle", [0.03, -0.02])
def test_a_turn_is_rotation(angle):
    cells, _ = describe(film(turn(angle)))
    assert inner(cells, "rotation") == pytest.approx(angle * FPS, rel=0.06)
    assert abs(inner(cells, "divergence")) < 0.02
    assert inner(cells, "residual") > 0.02  # no straight drive looks like this


@pytest.mark.parametrize("centre", [(0, 0), (50, -20), (-200, 30)])
def test_the_focus_of_expansion_is_found(centre):
    _, focus = describe(film(zoom(1.03), centre=centre))
    point = focus[:, :2] / focus[:, 2:] * WIDTH
    # One that lies outside the picture is told less exactly.
    np.testing.assert_allclose(point.mean(0), centre, atol=4, rtol=0.1)


def test_a_patch_that_moves_by_itself_is_residual_in_its_cells():
    frames = film(zoom(1.03))
    patch = texture(HEIGHT // ROWS, WIDTH // COLUMNS, seed=1)
    top, left = HEIGHT // ROWS, 4 * WIDTH // COLUMNS  # cell (1, 4)
    for step, frame in enumerate(frames):
        frame[top : top + patch.shape[0], left - 4 * step :][:, : patch.shape[1]] = patch
    cells, focus = describe(frames)
    residual = cells[..., FEATURES.index("residual")].mean(0)
    assert residual.argmax() == np.ravel_multi_index((1, 4), residual.shape)
    assert residual[1, 4] == pytest.approx(4 * FPS / WIDTH, rel=0.3)
    far = residual[:, :3]
    assert residual[1, 4] > 10 * far.max()
    # The rest of the scene still tells where we drive.
    point = focus[:, :2] / focus[:, 2:] * WIDTH
    assert np.abs(point).max() < 12


def test_points_that_move_otherwise_do_not_move_the_focus():
    generator = np.random.default_rng(0)
    points = generator.uniform(-0.5, 0.5, (500, 2)).astype(np.float32)
    depth = generator.uniform(0.5, 3, (500, 1)).astype(np.float32)
    flow = (points - np.float32([0.1, -0.05])) / depth
    flow[:100] = [0.4, 0.3]
    focus = fit_focus(points, flow)
    np.testing.assert_allclose(focus[:2] / focus[2], [0.1, -0.05], atol=0.01)
    assert focus[2] > 0
    assert fit_focus(points, -flow)[2] < 0


def test_features_do_not_depend_on_resolution():
    small, _ = describe(film(zoom(1.03), 96, 168))
    large, _ = describe(film(zoom(1.03), 288, 504))
    for feature in FEATURES[:4]:
        assert inner(small, feature) == pytest.approx(inner(large, feature), abs=0.02)


def test_features_do_not_depend_on_the_rate():
    every = film(shift(2, 1), num_frames=5)
    often, _ = describe(every, fps=20)
    seldom, _ = describe(every[::2], fps=10)
    np.testing.assert_allclose(often.mean(0)[..., :2], seldom.mean(0)[..., :2], atol=0.005)
    np.testing.assert_allclose(often.mean(0)[..., 2:], seldom.mean(0)[..., 2:], atol=0.05)


def test_a_step_sees_its_two_frames_alone():
    frames = film(shift(3, 1), num_frames=6)
    cells, focus = describe(frames)
    changed = frames.copy()
    changed[4:] = texture(HEIGHT, WIDTH, seed=5)
    other_cells, other_focus = describe(changed)
    np.testing.assert_array_equal(cells[:3], other_cells[:3])
    np.testing.assert_array_equal(focus[:3], other_focus[:3])
    assert not np.array_equal(cells[3], other_cells[3])


def test_the_number_of_threads_changes_nothing():
    frames = film(turn(0.02))
    before = cv2.getNumThreads()
    try:
        cv2.setNumThreads(1)
        alone, _ = describe(frames)
        cv2.setNumThreads(4)
        together, _ = describe(frames)
    finally:
        cv2.setNumThreads(before)
    np.testing.assert_array_equal(alone, together)


def test_fewer_frames_give_the_newest_steps():
    frames = film(shift(3, 1), num_frames=6)
    cells, focus = describe(frames)
    short = OpticalFlow(ROWS, COLUMNS, 6, 4, FPS, HEIGHT, WIDTH)
    found = short(torch.from_numpy(frames[-4:])[None])[0].numpy()
    assert found.shape == (3, short.spec.feature_dim)
    np.testing.assert_array_equal(found[:, :-3].reshape(3, ROWS, COLUMNS, 5), cells[-3:])
    np.testing.assert_array_equal(found[:, -3:], focus[-3:])
    with pytest.raises(AssertionError):
        short(torch.from_numpy(frames[-3:])[None])


def test_options_are_in_the_fingerprint():
    keys = {
        fingerprint(OpticalFlow(**options)).key
        for options in ({}, {"rows": 2}, {"columns": 3}, {"fps": 8}, {"num_frames": 8})
    }
    assert len(keys) == 5


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("rows", 5),
        ("rows", 0),
        ("columns", 5),
        ("num_frames", 1),
        ("min_frames", 1),
        ("fps", 0),
        ("height", 16),
        ("width", 0),
    ],
)
def test_options_that_cannot_work(option, value):
    with pytest.raises(ConfigError, match=rf"backbone\.{option}={value}"):
        OpticalFlow(**{option: value})
