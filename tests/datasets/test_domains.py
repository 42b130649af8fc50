"""Many painted domains as one data set."""

from collections import Counter

import pytest

from collision.config import part
from collision.errors import ConfigError
from collision.records.check import records_of


def domains(root="unused", **changes):
    return part("dataset", "painted_domains", **{"root": str(root), **changes}).build()


def test_shipped_domains_differ_and_lie_in_their_ranges():
    shipped = domains()
    ranges = part("dataset", "painted_domains").options["ranges"]
    for name, (lowest, highest) in ranges.items():
        values = [getattr(one.domain, name) for one in shipped.sets]
        assert all(lowest <= value <= highest for value in values)
        assert len(set(values)) == len(values) == 8
        assert max(values) - min(values) > (highest - lowest) / 3
    assert Counter(one.domain.palette for one in shipped.sets) == {"temperate": 4, "arid": 4}
    assert len({str(one.folder) for one in shipped.sets}) == 8


def test_scenes_of_domains_differ():
    first, second = domains(num_domains=2).sets
    events = [[scene.event_time for scene in one.scenes] for one in (first, second)]
    assert events[0] != events[1]


def test_records_are_those_of_all_domains_and_no_group_is_shared():
    shipped = domains()
    records = records_of(shipped)
    assert len({record.path for record in records}) == len(records) == 512
    assert len({record.group for record in records}) == 256
    assert all(record.group.startswith(record.tags["domain"] + "_") for record in records)
    splits = Counter((record.tags["domain"], record.split, record.label) for record in records)
    sizes = {"train": 20, "val": 4, "test": 8}
    assert splits == {
        (f"{n:02d}", s, y): size for n in range(8) for s, size in sizes.items() for y in (0, 1)
    }


def test_fewer_domains_are_the_first_of_more():
    assert domains(num_domains=3).records() == domains().records()[: 3 * 64]


def test_only_the_wanted_split_is_painted_and_no_oracle_is_asked(tmp_path):
    changes = {"domain.width": 160, "domain.height": 88, "domain.event_time": [4.2, 4.4]}
    small = domains(tmp_path / "many", num_domains=2, num_scenes=3, num_workers=1, **changes)
    small.prepare(("val",))
    painted = [record for record in small.records() if record.path.is_file()]
    assert {(record.tags["domain"], record.split) for record in painted} == {
        ("00", "val"),
        ("01", "val"),
    }
    assert not list(tmp_path.rglob("oracle.json"))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"ranges.height_of_camera": [1, 2]}, "height_of_camera"),
        ({"ranges.field_of_view": [5, 6]}, "dataset.domain.field_of_view"),
        ({"ranges.nose_dive": [0.5, 0.1]}, "dataset.ranges.nose_dive"),
        ({"num_domains": 0}, "dataset.num_domains"),
        ({"num_scenes": 2}, "dataset.num_scenes=2"),
    ],
)
def test_what_no_domain_can_have_is_told(changes, said):
    with pytest.raises(ConfigError, match=said):
        domains(**changes)
