"""`collision cache`: every action says what it does, and 2 where something is wrong."""

import json

import pytest

from collision.__main__ import main
from tests.kit.backbone import TinyBackbone
from tests.kit.extraction import run, write_videos
from tests.kit.old_cache import made_by_an_earlier_version


@pytest.fixture
def cache(tmp_path):
    write_videos(tmp_path, 2)
    run(tmp_path, TinyBackbone(), num_workers=0)
    return tmp_path / "cache"


@pytest.fixture
def say(cache, capfd, monkeypatch):
    monkeypatch.setenv("COLUMNS", "250")

    def say(*arguments, code=0, root=cache):
        assert main(["cache", *map(str, arguments), f"cache_root={root}"]) == code
        return "".join(capfd.readouterr())

    return say


def test_what_is_there_and_what_it_takes(say, tmp_path):
    output = say("ls")
    assert "test-tiny-" in output and str(tmp_path) in output
    output = say("du")
    assert "looks" in output and "inodes" in output


def test_damaged_files_are_told_and_deleted(say, cache):
    assert "is whole" in say("verify")
    file = next(cache.glob("test*/*/*.safetensors"))
    file.write_bytes(file.read_bytes()[:-1])
    output = say("verify", code=2)
    assert str(file) in output and "1 files are damaged" in output and "delete=true" in output
    assert "1 damaged files deleted" in say("verify", "delete=true") and not file.exists()
    (next(cache.glob("test*")) / "manifest.json").write_text("{")
    assert "Delete the folder" in say("verify", code=2)


def test_pruning_says_what_it_would_do_and_does_it_if_told(say, cache, tmp_path):
    assert "0 entries" in say("prune")
    (tmp_path / "0.mp4").unlink()
    files = set(cache.rglob("*.safetensors"))
    output = say("prune")
    assert "1 features of videos that are gone" in output and "yes=true" in output
    assert set(cache.rglob("*.safetensors")) == files
    assert "was deleted" in say("prune", "yes=true")
    assert len(set(cache.rglob("*.safetensors"))) == len(files) - 2
    assert "0 entries" in say("prune")


def test_caches_are_merged_and_upgraded(say, cache, tmp_path):
    made_by_an_earlier_version(tmp_path)
    assert "2 files of features, 2 looks and facts" in say("upgrade")
    assert "0 files of features, 0 looks and facts" in say("upgrade")
    output = say("merge", cache, root=tmp_path / "new")
    assert "2 files of features, 2 looks and facts, 2 entries" in output
    file = next(cache.glob("test*/*/*.safetensors"))
    file.write_bytes(b"")
    assert str(file) in say("merge", cache, code=2, root=tmp_path / "other")
    manifest = next(cache.glob("*/manifest.json"))
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"version": 99}))
    assert "version 99" in say("merge", cache, code=2, root=tmp_path / "third")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["lsx"],
            "there is no such action. There are: du, ls, merge, pack, prune, upgrade, verify.",
        ),
        (["ls", "elsewhere"], "cache_root=FOLDER"),
        (["merge"], "cache merge FOLDER..."),
        (["merge", "no/such/folder"], "There is no cache in 'no/such/folder'"),
        (["merge", "."], "There is no cache in"),
    ],
)
def test_a_mistake_is_a_sentence(say, arguments, message):
    output = say(*arguments, code=2)
    assert message in output and "Traceback" not in output


def test_no_cache_is_a_sentence(say, tmp_path):
    output = say("ls", code=2, root=tmp_path / "none")
    assert "There is no cache in" in output and "collision extract" in output


def test_packed_features_are_used_without_the_files_that_they_were(say, cache, tmp_path):
    assert "2 videos" in say("pack")
    # A digest may begin with any letter, as the names of packs do.
    digests = [file for file in cache.glob("test*/*/*.safetensors") if len(file.stem) == 32]
    before, files = say("ls"), digests
    assert "2 files of single videos deleted" in say("pack", "delete=true")
    assert len(files) == 2 and not any(file.exists() for file in files)
    assert before.split()[-4:-3] == say("ls").split()[-4:-3]
    assert run(tmp_path, TinyBackbone(), num_workers=0).num_windows == 0
    say("merge", cache, root=tmp_path / "other")
    assert len(list((tmp_path / "other").glob("test*/*/*.safetensors"))) == 2
    assert "is whole" in say("verify")
    pack = next(cache.glob("test*/packed/*"))
    content = bytearray(pack.read_bytes())
    content[4100] ^= 1  # of the features
    pack.write_bytes(content)
    assert str(pack) in say("verify", code=2)
    assert "deleted" in say("verify", "delete=true") and not pack.exists()


def test_a_cache_without_features_has_nothing_to_pack(say, tmp_path):
    (tmp_path / "empty").mkdir()
    assert "nothing to pack" in say("pack", code=2, root=tmp_path / "empty")
