"""Heat maps find what was planted, and no longer do where the head is shuffled."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import nn

from collision.config import part
from collision.errors import CheckpointError, ConfigError
from collision.features.digest import VideoDigests
from collision.features.fingerprint import fingerprint
from collision.features.hidden import Cells, hidden
from collision.features.source import FeatureSource
from collision.features.sources import FusedSource
from collision.features.store import FeatureStore
from collision.heatmap.gradients import token_layer
from collision.heatmap.look import look
from collision.heatmap.maps import HeatMap
from collision.learning.alignment import load_features
from collision.learning.head import Fused, build_model
from collision.learning.predictor import Predictor
from collision.option_groups import ExtractionOptions, HeatOptions
from collision.prediction import Moments, Prediction, predict
from collision.sampling.index import DataIndex
from collision.sampling.policy import SamplingPolicy
from collision.types import UNLABELLED, BackboneSpec, Example, TokenLayer, VideoRecord
from collision.video.frames import read_frames
from collision.video.index import index_video
from tests.kit.backbone import TinyBackbone
from tests.kit.video import write_video

HEIGHT, WIDTH, SIDE = 96, 160, 40
GREY = ((150, 150, 150),)
# Small transformers notice colours alone: a head that is shuffled is to find others that it likes.
MANY = (*GREY, (40, 80, 200), (30, 160, 60), (40, 190, 190), (170, 60, 200), (230, 230, 230))
ONE_WINDOW = SamplingPolicy(context=0.0)
QUICK = ExtractionOptions(num_workers=0, accelerator="cpu")


def scene(rng, place=None, colours=GREY):
    """Paint blotches of these colours, more or less dark; a red striped square at (top, left)."""
    shade = rng.uniform(0.5, 1, (HEIGHT // 8, WIDTH // 8, 1))
    chosen = np.array(colours)[rng.integers(0, len(colours), (HEIGHT // 16, WIDTH // 16))]
    coarse = (shade * chosen.repeat(2, 0).repeat(2, 1)).astype(np.uint8)
    picture = coarse.repeat(8, 0).repeat(8, 1)
    if place is not None:
        square = picture[place[0] : place[0] + SIDE, place[1] : place[1] + SIDE]
        square[:] = (200, 30, 30)
        square[::6] = square[1::6] = (250, 230, 80)
    return picture


def places(rng, count):
    tops, lefts = rng.integers(0, HEIGHT - SIDE, count), rng.integers(0, WIDTH - SIDE, count)
    return list(zip(tops.tolist(), lefts.tolist(), strict=True))


def features_of(backbone, pictures):
    """Embed pictures ``[N, H, W, 3]`` of the backbone's own size: ``[N, D]``."""
    windows = torch.from_numpy(np.stack(pictures))[:, None]
    with torch.inference_mode():
        return torch.cat([backbone(some) for some in windows.split(8)])[:, 0].numpy()


def predictor_of(backbone, model, policy=ONE_WINDOW):
    parts = {"backbone": part("backbone", "efficientnet_lite0"), "head": part("head", "linear")}
    made = fingerprint(backbone)
    return Predictor(model.eval(), {**parts, "pooling": part("pooling", "last")}, policy, made)


def source_of(backbone, folder):
    store = FeatureStore(folder / "cache", fingerprint(backbone))
    return FeatureSource(store, VideoDigests(folder / "videos.json"), None, _backbone=backbone)


def linear(feature_dim, weights=None, bias=0.0):
    model = build_model(part("head", "linear"), part("pooling", "last"), feature_dim)
    if weights is not None:
        with torch.no_grad():
            model.classifier.weight[:] = torch.as_tensor(weights, dtype=torch.float32)
            model.classifier.bias[:] = bias
    return model


class Patches(nn.Module):
    """A transformer in small: a token for each patch of 16 pixels, and one of no place before them.

    Its last block adds to each token something of its own, so that nothing moves between places.
    """

    def __init__(self, height=HEIGHT, width=WIDTH, num_frames=1):
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.embed, self.block = nn.Linear(3 * 64, 48), nn.Linear(48, 48)
        self.rows, self.columns = height // 16, width // 16
        self.spec = BackboneSpec(
            *("test/patches", "kit 1", num_frames, 4.0, height, width, (0.0,) * 3, (1.0,) * 3),
            num_steps=1,
            feature_dim=48,
            dtype="float32",
        )
        self.requires_grad_(False)

    def token_layer(self):
        return TokenLayer(self.block, self.rows, self.columns, 1)

    def forward(self, frames):
        cells = frames.float().unflatten(2, (-1, 8, 2)).unflatten(5, (-1, 8, 2)).mean(dim=(4, 7))
        cells = cells.permute(0, 1, 2, 4, 3, 5, 6).flatten(4) / 255 - 0.4
        tokens = self.embed(cells).relu().flatten(1, 3)
        tokens = torch.cat([torch.ones(len(frames), 1, 48), tokens], dim=1)
        return (tokens + self.block(tokens).relu()).mean(dim=1, keepdim=True)


@pytest.fixture(scope="module", params=["efficientnet_lite0", "patches"])
def planted(request, tmp_path_factory):
    """A head that tells the square from nothing, and a video of 20 places, one a frame."""
    rng, folder = np.random.default_rng(5), tmp_path_factory.mktemp("planted")
    backbone, colours = Patches(), MANY
    if request.param != "patches":
        colours = GREY
        backbone = part("backbone", request.param, height=HEIGHT, width=WIDTH).build()
    full = [scene(rng, place, colours) for place in places(rng, 100)]
    empty = [scene(rng, None, colours) for _ in range(100)]
    rows = features_of(backbone, [*empty, *full])
    mean, spread = rows.mean(0), rows.std(0) + 1e-6
    solved = LogisticRegression(C=1e-2, max_iter=500)
    solved.fit((rows - mean) / spread, np.repeat([0, 1], 100))
    weights = solved.coef_[0] / spread
    bias = float(solved.intercept_[0] - weights @ mean)
    where = places(rng, 20)
    frames = np.stack([scene(rng, place, colours) for place in where])
    video = write_video(folder / "planted.mp4", frames, fps=4, crf=12)
    return SimpleNamespace(
        where=where, video=video, backbone=backbone, weights=weights, bias=bias, folder=folder
    )


def maps_of(planted, weights, bias):
    predictor = predictor_of(planted.backbone, linear(len(weights), weights, bias))
    source = source_of(planted.backbone, planted.folder)
    said = predict(predictor, source, planted.video, Moments(), QUICK)
    assert len(said.times) == len(planted.where)
    return look(predictor, source, said, Moments(), QUICK)


def hits(planted, falls):
    """Count the maps whose hottest cell has its middle on the square."""
    rows, columns = falls.shape[1:]
    count = 0
    for own, (top, left) in zip(falls, planted.where, strict=True):
        row, column = divmod(int(own.argmax()), columns)
        down, across = (row + 0.5) * HEIGHT / rows, (column + 0.5) * WIDTH / columns
        count += top <= down < top + SIDE and left <= across < left + SIDE
    return count


def test_maps_find_what_was_planted_and_a_shuffled_head_s_do_not(planted):
    found = maps_of(planted, planted.weights, planted.bias)
    by_gradients = token_layer(planted.backbone) is not None
    assert found.falls.shape == ((20, 6, 10) if by_gradients else (20, 5, 8))
    centre = np.zeros_like(found.falls)
    centre[:, found.falls.shape[1] // 2, found.falls.shape[2] // 2] = 1
    draw, wrong = np.random.default_rng(0), []
    for _ in range(6 if by_gradients else 1):  # occlusion takes its time
        shuffled = maps_of(planted, draw.permutation(planted.weights), planted.bias)
        wrong.append(hits(planted, shuffled.falls))
    right, guess = hits(planted, found.falls), hits(planted, centre)
    assert right >= 12 and guess <= 7 and np.mean(wrong) <= 10, (right, guess, wrong)


class Slope(nn.Module):
    """Takes a little of one token away, before a block."""

    def __init__(self, layer, place, share):
        super().__init__()
        self.layer, self.place, self.share = layer, place, share

    def __enter__(self):
        def lessen(_, given, named):
            tokens = given[0].clone()
            grid = tokens[:, self.layer.before :].unflatten(
                1, (-1, self.layer.rows, self.layer.columns)
            )
            grid[:, :, self.place[0], self.place[1]] *= 1 - self.share
            return (tokens, *given[1:]), named

        self.handle = self.layer.block.register_forward_pre_hook(lessen, with_kwargs=True)

    def __exit__(self, *_):
        self.handle.remove()


TRANSFORMERS = {
    "vit": part(
        "backbone",
        "timm_image",
        model="vit_wee_patch16_reg1_gap_256",
        pretrained=False,
        height=48,
        width=64,
    ),
    "vjepa2": part(
        "backbone", "vjepa2", size="tiny", pretrained=False, num_frames=4, min_frames=2, fps=4
    ),
}


@pytest.mark.parametrize("name", TRANSFORMERS)
def test_gradients_are_what_the_score_loses_with_a_little_of_a_token(name, tmp_path):
    """Through a real transformer's last block, its pooling and a head over several windows."""
    backbone = TRANSFORMERS[name].changed({"dtype": "float32"}).build()
    spec, policy = backbone.spec, SamplingPolicy(context=0.5, flip=True)
    rng = np.random.default_rng(1)
    video = write_video(tmp_path / "a.mp4", np.stack([scene(rng) for _ in range(7)]), fps=4)
    source = source_of(backbone, tmp_path)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = build_model(part("head", "linear"), part("pooling", "mean"), spec.feature_dim)
    predictor = predictor_of(backbone, model, policy)
    said = predict(predictor, source, video, Moments(), QUICK)
    # Features of random weights hardly differ: only so does the head see them do so.
    model.fit_standardiser(rows_of(source, predictor, video, said).valid_features())
    found = look(predictor, source, said, Moments(), QUICK)
    layer = token_layer(backbone)
    assert found.falls.shape[1:] == (layer.rows, layer.columns)
    assert (found.times == said.times[~np.isnan(said.probabilities)]).all()
    place, share = (1, 2), 0.05  # of the plain view; mirrored it lies on the other side

    def odds(where):
        other = source_of(backbone, where)
        data = rows_of(other, predictor, video, said)
        with torch.no_grad():
            return model(
                *(data[torch.arange(len(data))][key] for key in ("features", "times", "mask"))
            ), data.example_of

    plain, example_of = odds(tmp_path)
    mirrored = (place[0], layer.columns - 1 - place[1])
    lost = []
    for number, where in enumerate((place, mirrored)):
        sides = []
        for sign in (-1, 1):
            with Slope(layer, where, sign * share):
                sides.append(odds(tmp_path / f"{number}{sign}")[0])
        lost.append((sides[0] - sides[1]) / (2 * share))
    views = np.arange(len(plain)) % 2  # plain, mirrored, plain, ...
    own = torch.where(torch.from_numpy(views) == 0, *lost).numpy()
    wanted = [own[example_of.numpy() == moment].mean() for moment in range(len(found.times))]
    scale = np.abs(found.falls).max()
    np.testing.assert_allclose(found.falls[:, 1, 2], wanted, atol=0.03 * scale)
    assert np.abs(wanted).max() > 0.1 * scale


def rows_of(source, predictor, video, said):
    record = VideoRecord("v", video, UNLABELLED, "test", "")
    times = said.times[~np.isnan(said.probabilities)]
    about = DataIndex(
        "clip", {"v": record}, {"test": [Example("v", float(t), UNLABELLED, 0.0) for t in times]}
    )
    source.extract(source.requests(about, predictor.policy), QUICK, progress=False)
    return load_features(about, source, predictor.policy, [])["test"]


def test_of_several_backbones_a_cell_is_hidden_from_all(tmp_path):
    """Each backbone sees its own side of a head that adds them up; so does the map."""
    rng = np.random.default_rng(2)
    video = write_video(tmp_path / "a.mp4", np.stack([scene(rng) for _ in range(24)]), fps=10)
    backbones = TinyBackbone(), TinyBackbone(num_frames=2, dtype="float16")
    sources = [source_of(one, tmp_path / str(n)) for n, one in enumerate(backbones)]
    sources[1].digests = sources[0].digests
    weights = rng.normal(size=10)
    maps = []
    for parts, own in ((sources[:1], weights[:5]), (sources, weights)):
        fused = Fused(part("fusion", "concat"), (5, 5)) if len(parts) > 1 else None
        model = build_model(
            part("head", "linear"), part("pooling", "last"), len(own), fused=fused
        ).eval()
        with torch.no_grad():
            model.classifier.weight[:] = torch.as_tensor(own, dtype=torch.float32)
        source = FusedSource(tuple(parts)) if len(parts) > 1 else parts[0]
        predictor = predictor_of(backbones[0], model)
        said = predict(predictor, source, video, Moments(), QUICK)
        maps.append(look(predictor, source, said, Moments(), QUICK, HeatOptions(cells=6)))
    first, both = maps
    assert first.falls.shape[1:] == (4, 6) and np.abs(first.falls).max() > 0.01
    tiny = torch.from_numpy(weights[5:]).float()
    # The second backbone's last step of the last moment, by hand.
    frames = read_frames(index_video(video), np.arange(24), 32, 48)[[21, 22]]
    with torch.inference_mode():
        versions = backbones[1](hidden(frames, Cells(4, 6), np.arange(25), False))[:, -1].half()
    scores = versions.float() @ tiny
    wanted = (scores[0] - scores[1:]).reshape(4, 6).numpy()
    np.testing.assert_allclose(both.falls[-1] - first.falls[-1], wanted, atol=2e-3)


def test_gradients_of_what_has_no_tokens_are_refused(tmp_path):
    rng = np.random.default_rng(2)
    video = write_video(tmp_path / "a.mp4", np.stack([scene(rng) for _ in range(20)]), fps=10)
    backbone = TinyBackbone()
    said = Prediction(video, np.array([1.0]), np.array([0.5]), 0.0)
    predictor, source = predictor_of(backbone, linear(5)), source_of(backbone, tmp_path)
    with pytest.raises(ConfigError, match=r"heat.method=gradients: test/tiny .* heat.method=occl"):
        look(predictor, source, said, Moments(), QUICK, HeatOptions(method="gradients"))


def test_cells_cover_the_picture_once_and_the_mirror_image_hides_the_same():
    cells = Cells.along(7, 45, 80)
    assert (cells.rows, cells.columns) == (4, 7) and Cells.along(7, 80, 45) == Cells(7, 4)
    seen = np.zeros((45, 80), int)
    for number in range(len(cells)):
        seen[cells.place(number, 45, 80)] += 1
    assert (seen == 1).all()
    frames = np.random.default_rng(0).integers(0, 255, (2, 45, 80, 3), dtype=np.uint8)
    plain, flipped = (hidden(frames, cells, [0, 3], flip).numpy() for flip in (False, True))
    assert (plain[0] == frames).all() and (flipped == plain[:, :, :, ::-1]).all()
    changed = (plain[1] != frames).any(axis=(0, 3))
    outside = np.ones_like(changed)
    outside[cells.place(2, 45, 80)] = False
    assert changed.any() and not changed[outside].any()


def test_a_map_is_kept_and_shown_from_its_own_moment_on(tmp_path):
    falls = np.zeros((2, 2, 3), np.float32)
    falls[0, 0, 0], falls[1, 1, 2], falls[1, 0, 1] = 2.0, 4.0, -3.0
    made = HeatMap(np.array([1.0, 2.0]), falls)
    made.save(tmp_path / "a.safetensors")
    again = HeatMap.load(tmp_path / "a.safetensors")
    assert (again.falls == falls).all() and again.scale == 4.0
    assert again.at(0.99) is None
    assert again.at(1.0).max() == 0.5 and again.at(1.99)[0, 0] == 0.5
    picture = np.full((60, 90, 3), 100, np.uint8)
    assert (again.lay_over(picture, 0.5) == picture).all()
    painted = again.lay_over(picture, 2.5)
    assert (picture == 100).all()
    away = np.abs(painted.astype(int) - 100).sum(axis=2)
    assert away.argmax() // 90 > 30 and away.argmax() % 90 > 60  # lower right
    assert away[5, 45] == 0  # what raises the score when it is hidden is not coloured
    quiet = HeatMap(np.array([1.0]), falls[:1] / 100)
    assert quiet.at(1.0).max() == pytest.approx(0.02)  # noise is not blown up
    (tmp_path / "a.safetensors").write_bytes(b"no map")
    with pytest.raises(CheckpointError, match="is no heat map"):
        HeatMap.load(tmp_path / "a.safetensors")
