"""A backbone that is compiled or laid out otherwise gives the features that it gave."""

import numpy as np
import pytest
import torch
from torch import nn

from collision.backbones.timm_image import TimmImage
from collision.errors import ConfigError
from collision.features import compiling
from collision.features.compiling import FasterBackbone, difference, faster
from tests.kit.backbone import TinyBackbone
from tests.kit.extraction import END_TIMES, open_source, requests_of, run, write_videos


class Convolutions(nn.Module):
    """Pictures through a convolution, then windows through one over time; no counter."""

    def __init__(self):
        super().__init__()
        self.spec = TinyBackbone(min_frames=2).spec
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.picture = nn.Conv2d(3, 8, 3, stride=2)
            self.time = nn.Conv3d(8, 5, (2, 3, 3), stride=(2, 2, 2))
        self.requires_grad_(False)

    def forward(self, frames):
        pictures = (frames.float() / 255).permute(0, 1, 4, 2, 3)
        seen = self.picture(pictures.flatten(0, 1)).relu().unflatten(0, pictures.shape[:2])
        return self.time(seen.transpose(1, 2)).mean(dim=(3, 4)).transpose(1, 2)


@pytest.fixture
def graphs(monkeypatch):
    """The graphs that were compiled, by a compiler that leaves them as they are."""
    torch._dynamo.reset()
    made = []

    def backend(graph, _):
        made.append(graph)
        return graph.forward

    monkeypatch.setattr(compiling, "_BACKEND", backend)
    return made


def frames_of(backbone, count=2):
    spec = backbone.spec
    shape = count, spec.num_frames, spec.height, spec.width, 3
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)


def read(folder):
    source = open_source(folder, Convolutions())
    requests = requests_of(folder)
    return [source.store.read(source.digests.digest(r.path), END_TIMES) for r in requests]


def test_an_extraction_compiles_once_and_stores_the_same(tmp_path, graphs):
    """The last batch is padded; windows that are cut short go through it as it is."""
    for name in ("plain", "faster"):
        (tmp_path / name).mkdir()
        write_videos(tmp_path / name, 2)
    backbone, options = Convolutions(), {"compile": True, "channels_last": True}
    run(tmp_path / "plain", Convolutions())
    report = run(tmp_path / "faster", backbone, **options)
    assert len(graphs) == 1 and report.num_windows == 2 * (9 + 1)  # 9 of each are whole
    assert backbone.picture.weight.is_contiguous(memory_format=torch.channels_last)
    assert backbone.time.weight.is_contiguous(memory_format=torch.channels_last_3d)
    pairs = list(zip(read(tmp_path / "plain"), read(tmp_path / "faster"), strict=True))
    for (ours, there), (theirs, also_there) in pairs:
        np.testing.assert_array_equal(there, also_there)
        np.testing.assert_allclose(theirs, ours, atol=1e-4 * np.abs(ours).max())
    # It is the same cache, and in one process a backbone is compiled once.
    assert run(tmp_path / "plain", backbone, **options).num_windows == 0
    write_videos(tmp_path / "plain", 3)
    assert run(tmp_path / "plain", backbone, **options).num_windows == 9 + 1
    assert len(graphs) == 1


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
@pytest.mark.parametrize("backend", ["aot_eager", pytest.param("inductor", marks=pytest.mark.slow)])
def test_a_network_of_timm_is_the_same_compiled(monkeypatch, backend, precision):
    torch._dynamo.reset()
    monkeypatch.setattr(compiling, "_BACKEND", backend)
    backbone = TimmImage("resnet10t", pretrained=False, height=32, width=32)
    made = faster(backbone, precision, compile=True, channels_last=True)
    assert made is faster(backbone, precision, compile=True, channels_last=True)
    bf16 = torch.autocast("cpu", torch.bfloat16, enabled=precision != "32-true")
    with torch.inference_mode(), bf16:
        wanted = backbone(frames_of(backbone))
        for _ in range(2):
            found = made(frames_of(backbone))
            assert difference(found, wanted) <= compiling.TOLERANCE[precision]


def test_other_features_are_refused(monkeypatch):
    def wrong(graph, _):
        return lambda *inputs: tuple(1.001 * one for one in graph(*inputs))

    torch._dynamo.reset()
    monkeypatch.setattr(compiling, "_BACKEND", wrong)
    backbone = Convolutions()
    said = r"compile=true: features of the backbone 'test/tiny' then differ by 1\.0e-03 of"
    with torch.inference_mode(), pytest.raises(ConfigError, match=said):
        FasterBackbone(backbone, "32-true", True, False)(frames_of(backbone))
    with torch.inference_mode():  # as rounding goes in bf16
        FasterBackbone(backbone, "bf16-mixed", True, False)(frames_of(backbone))


def test_what_a_compiler_cannot_do_is_told(tmp_path, graphs):
    class Looks(Convolutions):
        def forward(self, frames):
            features = super().forward(frames)
            return features if features.sum().item() > 1e9 else features + 1

    write_videos(tmp_path, 1)
    with pytest.raises(ConfigError, match=r"'test/tiny' cannot be compiled here \("):
        run(tmp_path, Looks(), compile=True)
    assert not graphs

    class Counts(Convolutions):  # a new graph for each batch, until the compiler refuses
        count = 0

        def forward(self, frames):
            self.count += 1
            return super().forward(frames) + 0 * self.count

    backbone = Counts()
    with (
        pytest.raises(ConfigError, match=r"'test/tiny' cannot be compiled"),
        torch.inference_mode(),
    ):
        made = FasterBackbone(backbone, "32-true", True, False)
        for _ in range(20):
            made(frames_of(backbone))


def test_only_convolutions_are_laid_out():
    with pytest.raises(ConfigError, match=r"'test/tiny' has no convolutions"):
        faster(TinyBackbone(), "32-true", compile=False, channels_last=True)
    backbone = TinyBackbone()
    assert faster(backbone, "32-true", compile=False, channels_last=False) is backbone


def test_too_little_memory_is_no_fault_of_the_compiler(monkeypatch):
    def small(graph, _):
        def run(*inputs):
            raise torch.OutOfMemoryError("none left")

        return run

    torch._dynamo.reset()
    monkeypatch.setattr(compiling, "_BACKEND", small)
    backbone = Convolutions()
    with torch.inference_mode(), pytest.raises(torch.OutOfMemoryError):
        FasterBackbone(backbone, "32-true", True, False)(frames_of(backbone))


def test_the_difference_is_of_the_largest_finite_feature():
    before = torch.tensor([1.0, -4.0, float("nan")])
    assert difference(torch.tensor([1.0, -4.4, 0.0]), before) == pytest.approx(0.1)
    assert np.isnan(difference(torch.tensor([float("nan"), -4.0, 0.0]), before))
    assert difference(before, before * float("nan")) == 0
    assert difference(before[:2], before) == float("inf")
    assert difference(torch.ones(2), torch.zeros(2)) > 1
    assert difference(torch.zeros(2), torch.zeros(2)) == 0
