"""What a trial of a backbone sees again, alone and in a new process."""

from types import SimpleNamespace

import numpy as np
import pytest

from collision.features.clips import WindowRequest
from collision.search.backbone_conformance import source_of_subject
from collision.search.backbone_subject import LocalBackbone
from collision.search.session import PartFailed
from collision.search.trying import see_again
from tests.kit.broken import Blocks, ByContent, RemembersFrames, broken
from tests.kit.extraction import Options, write_videos


def features_of(made, folder):
    """Extract what a backbone makes of two videos; give how it is seen again."""
    backbone = LocalBackbone(broken("backbone", made, height=32, width=48))
    ends = np.array([0.5, 1.0, 1.5, 2.0])
    requests = [WindowRequest(path.stem, path, ends) for path in write_videos(folder, 2)]
    source = source_of_subject(backbone, backbone.part, folder / "cache")
    source.extract(requests, Options(num_workers=0), progress=False)
    return source, SimpleNamespace(requests=lambda _: requests)


def test_what_hangs_on_its_frames_alone_is_the_same(tmp_path):
    again = LocalBackbone(broken("backbone", Blocks, height=32, width=48))
    see_again(again, *features_of(Blocks, tmp_path))


@pytest.mark.parametrize("made", [RemembersFrames, ByContent])
def test_what_hangs_on_other_windows_is_told(tmp_path, made):
    again = LocalBackbone(broken("backbone", made, height=32, width=48))
    with pytest.raises(PartFailed, match="more than the window's frames"):
        see_again(again, *features_of(made, tmp_path))
