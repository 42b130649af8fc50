"""A scripted agent adds a head, from its proposal to a training in the tree."""

import json
import shutil
import subprocess
import sys

import pytest

from collision.errors import ConfigError
from collision.search.sandbox import find_wall
from tests.conftest import DATA, ROOT, environment
from tests.kit.proposals import cheat, cheating_backbone, cheating_loss, honest

TRIAL = (*DATA, "trainer.max_steps=12", "siblings=[linear]", "seeds=1", "num_resamples=50")


@pytest.fixture(scope="module", autouse=True)
def wall():
    try:
        return find_wall()
    except ConfigError as error:
        pytest.skip(str(error))


def agent(answers):
    """Propose again and again, until nobody complains."""
    yield cheat("copies", in_forward="encoded = encoded + encoded.mean()")
    assert "examples do not see each other" in answers[-1]
    yield honest()


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A copy of the tree, for a part to be written into."""
    copy = tmp_path_factory.mktemp("checkout")
    for name in ("backbones", "collision", "configs", "datasets", "temporal"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "train.py"):
        shutil.copy(ROOT / name, copy / name)
    return copy


@pytest.mark.slow
def test_an_agent_adds_a_head(workshop, checkout, tmp_path):
    answers, folder = [], tmp_path
    for number, proposed in enumerate(agent(answers)):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / f"{proposed.name}.py").write_text(proposed.code)
        (folder / f"{proposed.name}.yaml").write_text(proposed.config)
        is_honest = proposed.name == "forgetting"
        if not is_honest:
            assert "have not been checked" in workshop.command("part", "try", folder, code=2)
        answers.append(workshop.command("part", "check", folder, code=0 if is_honest else 2))
        if not is_honest:
            for action in ("try", "accept"):
                assert "did not pass" in workshop.command("part", action, folder, code=2)
    assert "forgetting passes" in answers[-1]
    into = ("part", "accept", folder, f"into={checkout}")
    said = workshop.command(*into, code=2)
    assert "+class Forgetting(nn.Module):" in said and "was not tried" in said
    assert "Nothing was written" in said
    assert not (checkout / "temporal" / "forgetting.py").exists()
    said = workshop.command("part", "try", folder, *TRIAL)
    assert "Against linear" in said and "forgetting" in said
    (noted,) = (workshop.root / "runs" / "parts").glob("forgetting_*.json")
    comparison = json.loads(noted.read_text())["trial"]["comparison"]
    assert set(comparison["runs"]) == {"linear", "forgetting"}
    said = workshop.command(*into, "yes=true")
    assert "mAP on validation of synthetic: linear" in said and "Written:" in said
    assert "as it is here" in workshop.command(*into, "yes=true")
    assert (checkout / "temporal" / "forgetting.py").read_text() == honest().code
    for program in (["train.py", "--cfg", "job", "head=forgetting"], ["-c", BUILT]):
        done = subprocess.run(
            [sys.executable, *program],
            cwd=checkout,
            env={**environment(workshop.root), "PYTHONPATH": str(checkout)},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        assert "collision.temporal.forgetting.Forgetting" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    ("proposed", "sibling", "where"),
    [
        (cheating_loss("own_entropy"), "bce", "collision/learning/own_entropy.py"),
        (cheating_backbone("own_blocks"), "optical_flow", "backbones/own_blocks.py"),
    ],
    ids=["loss", "backbone"],
)
def test_other_kinds_go_the_same_way(workshop, checkout, tmp_path, proposed, sibling, where):
    kind, name = f"kind={proposed.kind}", proposed.name
    (tmp_path / f"{name}.py").write_text(proposed.code)
    (tmp_path / f"{name}.yaml").write_text(proposed.config)
    assert "have not been checked" in workshop.command("part", "try", tmp_path, kind, code=2)
    assert f"{name} passes" in workshop.command("part", "check", tmp_path, kind)
    options = [option for option in TRIAL if not option.startswith("siblings")]
    given = [*options, f"siblings=[{sibling}]", "head=linear"]
    said = workshop.command("part", "try", tmp_path, kind, *given)
    assert f"Against {sibling}" in said and name in said
    said = workshop.command("part", "accept", tmp_path, kind, f"into={checkout}", "yes=true")
    assert f"mAP on validation of synthetic: {sibling}" in said and where in said
    assert (checkout / where).read_text() == proposed.code
    code = f"from collision.config import part; print(part({proposed.kind!r}, {name!r}).imported())"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=checkout,
        env={**environment(workshop.root), "PYTHONPATH": str(checkout)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0 and proposed.target in done.stdout, done.stderr


BUILT = (
    "from collision.config import part; made = part('head', 'forgetting').build(input_dim=3);"
    "print(f'{type(made).__module__}.{type(made).__qualname__}')"
)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["look", "."], "There are: check, try, accept"),
        (["check"], "part needs an action"),
        (["check", "nowhere"], "one Python file and one YAML"),
        (["check", ".", "kind=dataset"], "kind=dataset"),
    ],
)
def test_what_is_no_part_is_a_sentence(workshop, arguments, said):
    assert said in workshop.command("part", *arguments, code=2)
