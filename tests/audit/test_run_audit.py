from collision.audit.jobs import Pool
from collision.audit.shortcuts import audit_fold
from collision.features.digest import VideoDigests
from collision.types import Example, VideoRecord
from tests.kit.video import numbered_frames, write_video


def test_files_that_cannot_be_looked_at_leave_no_probes_and_stop_nothing(tmp_path):
    calm = write_video(tmp_path / "calm.mp4", numbered_frames(20), fps=10)
    records = [
        VideoRecord("calm", calm, 0, "train", "calm"),
        VideoRecord("crash", tmp_path / "gone.mp4", 1, "train", "crash"),
    ]
    examples = [Example(r.id, 1.0, r.label, 0.5) for r in records]
    digests = VideoDigests(tmp_path / "videos.json")
    by_id = {record.id: record for record in records}
    pool = Pool(0, progress=False)
    audited = audit_fold(by_id, examples, examples, digests, tmp_path, pool)
    assert (audited.pairs, audited.scores) == ([], {})
