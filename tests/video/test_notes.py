"""Notes on files, as they are printed."""

from collision.video.notes import counted


def test_each_kind_once_the_most_common_first():
    late = {f"v{n}": [f"its clock begins at {n}.500 s"] for n in range(4)}
    assert counted({"a": ["odd, short"], **late, "b": []}) == [
        "4 videos (v0, v1, v2, ...), the first: its clock begins at 0.500 s",
        "1 video (a): odd, short",
    ]
    assert counted({"a": ["odd"], "b": ["odd", "odd"]}) == ["2 videos (a, b): odd"]
    assert counted({}) == []
