"""The clips' DataModule alone: in a loop, and under a Trainer."""

import lightning
import numpy as np
import torch

from collision.features.clip_datamodule import ClipDataModule
from collision.types import Failure
from tests.kit.backbone import TinyBackbone
from tests.kit.extraction import END_TIMES, requests_of, write_videos


class Embedding(lightning.LightningModule):
    """Embeds a clip's windows."""

    def __init__(self):
        super().__init__()
        self.backbone = TinyBackbone()

    def predict_step(self, batch, batch_index):
        index, clip = batch
        if isinstance(clip, Failure):
            return index, clip.reason
        return index, self.backbone(torch.from_numpy(clip.frames[clip.windows]))


def test_a_trainer_predicts_from_it(tmp_path):
    write_videos(tmp_path, 3)
    (tmp_path / "broken.mp4").write_bytes(b"broken")
    clips = ClipDataModule(requests_of(tmp_path), TinyBackbone().spec, num_workers=2)
    settings = {"accelerator": "cpu", "logger": False, "enable_progress_bar": False}
    trainer = lightning.Trainer(**settings, enable_model_summary=False)
    found = dict(trainer.predict(Embedding(), clips))
    assert sorted(found) == [0, 1, 2, 3] and isinstance(found[3], str)
    assert all(found[index].shape == (9, 2, 5) for index in range(3))


def test_clips_stay_what_they_are_after_the_loop(tmp_path):
    """Workers write into memory that is used again: what is given is a copy."""
    write_videos(tmp_path, 6)
    for num_workers in (0, 2):
        clips = ClipDataModule(requests_of(tmp_path), TinyBackbone().spec, num_workers)
        loader = clips.predict_dataloader()
        assert len(loader) == 6
        for index, clip in sorted(loader, key=lambda item: item[0]):
            wanted = clips.dataset[index]
            np.testing.assert_array_equal(clip.frames, wanted.frames)
            np.testing.assert_array_equal(clip.windows, wanted.windows)
            assert len(clip.end_times) + len(clip.unavailable) == len(END_TIMES)
