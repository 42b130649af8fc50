"""The report of an extraction, for programs."""

import json

from collision.features.extract import ExtractionReport
from collision.features.reports import write_report
from tests.kit.backbone import TinyBackbone
from tests.kit.extraction import open_store


def test_a_report_says_what_was_done(tmp_path):
    report = ExtractionReport(num_windows=30, num_reused=4, seconds=2.0, waited=0.5, signal=10)
    store = open_store(tmp_path, TinyBackbone())
    files = [write_report(store, report, 138, shard="3/8") for _ in range(2)]
    assert files[0] != files[1] and files[0].parent == store.folder / "reports"
    found = json.loads(files[0].read_text())
    assert (found["exit_code"], found["signal"], found["shard"]) == (138, 10, "3/8")
    assert (found["windows_computed"], found["windows_per_second"]) == (30, 15)
    assert found["backbone_waited_seconds"] == 0.5


def test_where_nothing_may_be_written_there_is_none(tmp_path):
    store = open_store(tmp_path, TinyBackbone())
    store.folder.parent.mkdir()
    store.folder.write_text("in its place")
    assert write_report(store, ExtractionReport(), 0) is None
