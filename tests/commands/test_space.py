import pytest

from collision.__main__ import main


def test_a_space_is_shown_with_what_cannot_be_built(tmp_path, capfd, monkeypatch):
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    assert main(["space", "study", "sample=2", "seed=3"]) == 0
    output = capfd.readouterr().out
    assert "108,000 cells, each with 7 more dimensions" in output
    assert output.count("  python train.py backbone=") == 2
    assert "0 of 6 backbones can be built" in output
    assert "facebook/vjepa2-vitl-fpc64-256" in output and "not looked for elsewhere" in output


def test_a_space_of_ones_own(tmp_path, capfd):
    (tmp_path / "mine.yaml").write_text("# Mine.\n\ncells:\n  head: [gru, linear]\n")
    assert main(["space", str(tmp_path / "mine.yaml"), "sample=0"]) == 0
    output = capfd.readouterr().out
    assert "2 cells." in output and "train.py" not in output
    assert "1 of 1 backbones can be built" in output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "space needs a space: study, core, offline, full, or a YAML file"),
        (["studyy"], "No space is called 'studyy'. Did you mean study?"),
        (["study", "sample=-1"], "sample=-1"),
    ],
)
def test_what_is_no_space_is_a_sentence(arguments, said, capfd):
    assert main(["space", *arguments]) == 2
    assert said in capfd.readouterr().err
