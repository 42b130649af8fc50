"""The benchmark of the way to the first batch, at a size that takes no time."""

from benchmarks.first_batch import Size, gathering, load, make_cache
from collision.features.packed import pack_store
from collision.features.store import FeatureStore

SIZE = Size(videos=60, windows=6, steps=2, dim=4)


def test_it_reads_the_features_that_it_made_packed_or_not(tmp_path, monkeypatch):
    store = make_cache(tmp_path, SIZE)
    data = load(store.folder, SIZE)
    assert {split: len(part) for split, part in data.items()} == {"train": 324, "val": 18}
    assert data["train"].bank.shape == (324 + 1, 2, 4) and data["train"].is_real[:-1].all()
    pack_store(store)
    monkeypatch.setattr(FeatureStore, "_decode", None)
    packed = load(store.folder, SIZE)
    assert all(packed[split].bank.equal(data[split].bank) for split in data)
    found = gathering(packed["train"], 32, 2)
    assert set(found) == {"batches", "bare", "cast"} and all(
        len(some) == 2 for some in found.values()
    )
