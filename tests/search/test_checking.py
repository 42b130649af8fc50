"""Proposed losses and backbones meet the suite of their kind behind walls, and so do cheats."""

import socket
from contextlib import contextmanager

import pytest
import torch

from collision.config import Part, part
from collision.errors import ConfigError
from collision.option_groups import Limits
from collision.search import backbone_conformance, loss_conformance
from collision.search.checking import FOR_FRAMES, backbone_in, check_part, loss_in
from collision.search.loss_subject import LocalLoss
from collision.search.sandbox import find_wall
from collision.search.session import opened
from collision.search.verdicts import NotConformant
from tests.kit.proposals import cheating_backbone, cheating_loss

SECRET = "1 0 1 1 0"
BLINDS = """
judge = torch.hub.sys.modules.get("collision.search.loss_conformance")
if judge is not None:
    judge.check_close = lambda *found: None
    judge._measured = lambda subject, outputs, *rest: (outputs.mean(), outputs)
"""


@pytest.fixture(scope="module")
def wall():
    find_wall.cache_clear()
    try:
        return find_wall()
    except ConfigError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def labels(tmp_path_factory):
    """A file with labels that no part should know."""
    folder = tmp_path_factory.mktemp("place")
    folder.chmod(0o755)
    (folder / "labels.txt").write_text(SECRET)
    return str(folder / "labels.txt")


@pytest.fixture(scope="module")
def server():
    with socket.create_server(("127.0.0.1", 0)) as one:
        yield f"http://127.0.0.1:{one.getsockname()[1]}/weights.pth"


@pytest.fixture(scope="module")
def proposals(labels, server):
    reads = f"loot = torch.hub.os.read(torch.hub.os.open({labels!r}, 0), 99)"
    fetches = f'torch.hub.urlopen("{server}", timeout=5)'
    return {
        "loss": {
            "honest_loss": cheating_loss("honest_loss"),
            "reads": cheating_loss("reads", reads),
            "weightless": cheating_loss("weightless", in_forward="weights = weights * 0 + 1"),
            "blinds": cheating_loss("blinds", BLINDS, "weights = weights * 0 + 1"),
            "raises": cheating_loss("raises", in_forward="assert len(each) != 2, 'no two'"),
        },
        "backbone": {
            "honest_backbone": cheating_backbone("honest_backbone"),
            "reads": cheating_backbone("reads", reads),
            "fetches": cheating_backbone("fetches", "import torch.utils.data\n" + fetches),
            "remembers": cheating_backbone(
                "remembers",
                in_forward="""
                features = features + 0.1 * self.before
                self.before = features.mean()
                """,
            ),
        },
    }


@contextmanager
def session_of(proposals, kind, wall):
    """Know all proposals of a kind in one process: it takes long to load torch."""
    files = {name: text for one in proposals[kind].values() for name, text in one.files.items()}
    with opened(files, wall, Limits(seconds=300), load=FOR_FRAMES[:1]) as session:
        yield session


def test_nothing_of_it_shows_in_the_text(proposals):
    for one in (one for of_kind in proposals.values() for one in of_kind.values()):
        assert list(one.complaints()) == []


def failed(findings):
    return {one.check: one.why for one in findings if one.why}


def test_losses_behind_walls(proposals, wall):
    with session_of(proposals, "loss", wall) as session:

        def found(name):
            return list(loss_in(session, proposals["loss"][name].part))

        honest = found("honest_loss")
        assert failed(honest) == {} and len(honest) == 1 + len(loss_conformance.CHECKS)
        assert "No such file" in failed(found("reads"))["it can be built"]
        for name in ("weightless", "blinds"):
            (check,) = failed(found(name))
            assert check == "weights are obeyed"
        wrong = failed(found("raises"))
        assert "no two" in wrong["it is one number with a gradient"]
        assert len(wrong) < len(loss_conformance.CHECKS)  # it was asked on


def test_in_one_process_a_loss_blinds_the_judge(proposals, tmp_path, monkeypatch):
    for name in ("check_close", "_measured"):  # to have them back afterwards
        monkeypatch.setattr(loss_conformance, name, getattr(loss_conformance, name))
    for name in ("weightless", "blinds"):
        (tmp_path / f"{name}.py").write_text(proposals["loss"][name].code)
    monkeypatch.syspath_prepend(tmp_path)
    made = {name: Part("loss", name, f"{name}.Cheat") for name in ("weightless", "blinds")}
    check = loss_conformance.weights_are_obeyed
    with pytest.raises(NotConformant):
        check(LocalLoss(made["weightless"]))
    blind = LocalLoss(made["blinds"])
    targets = loss_conformance.make_targets(torch.tensor([1.0, 0.0]))
    value, _ = loss_conformance._measured(blind, torch.zeros(2, 1), targets, "anywhere")
    assert float(value) == 0  # what it was told to believe


def test_backbones_behind_walls(proposals, wall):
    with session_of(proposals, "backbone", wall) as session:

        def found(name, limits=Limits()):
            return list(backbone_in(session, proposals["backbone"][name].part, limits))

        honest = found("honest_backbone")
        assert failed(honest) == {} and len(honest) == 1 + len(backbone_conformance.CHECKS)
        assert "No such file" in failed(found("reads"))["it can be built"]
        assert "nreachable" in failed(found("fetches"))["it can be built"]
        assert "windows do not see each other" in failed(found("remembers"))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["efficientnet_lite0", "optical_flow"])
def test_networks_and_weights_that_are_installed_work_behind_walls(wall, name):
    one = part("backbone", name, height=64, width=96)
    with opened({}, wall, Limits(seconds=600), load=FOR_FRAMES) as session:
        assert failed(list(backbone_in(session, one, Limits()))) == {}


def test_a_backbone_without_walls_gets_what_it_wants(proposals):
    with session_of(proposals, "backbone", None) as session:
        one = backbone_in(session, proposals["backbone"]["reads"].part, Limits())
        assert next(one).passed


def test_a_check_opens_its_own_walls(proposals, wall):
    findings = list(check_part(proposals["loss"]["honest_loss"], wall, Limits(seconds=300)))
    assert findings[0].check == "its text is plain" and failed(findings) == {}
