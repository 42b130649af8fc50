"""The rules of the house: who imports whom, what is a package, what the wheel holds."""

import ast
import importlib
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PLUGINS = ("backbones", "temporal", "datasets")
BARE = {*PLUGINS, "configs", "tests"}


# A station imports only stations before it, and flat modules. No exceptions.
FLAT = (
    "types",
    "errors",
    "files",
    "checks",
    "console",
    "config",
    "untrusted",
    "option_groups",
    "options",
    "devices",
)
STATIONS = (
    *("metrics", "video", "records", "sampling", "features", "learning", "audit"),
    *("experiment", "evaluation", "report", "runs", "prediction", "heatmap", "streaming", "api"),
    *("export", "search", "study", "serving", "commands"),
)


def python_files(folder):
    return sorted(p for p in (ROOT / folder).rglob("*.py"))


def imported_modules(path):
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def part_of(module):
    words = module.split(".")
    return words[1] if words[0] == "collision" and len(words) > 1 else None


@pytest.mark.parametrize("path", python_files("collision"), ids=lambda p: str(p.relative_to(ROOT)))
def test_the_engine_knows_no_plugin(path):
    modules = imported_modules(path)
    assert not {m for m in modules if part_of(m) in PLUGINS}
    assert not {m for m in modules if m.split(".")[0] in BARE}
    if "commands" not in path.parts and path.name != "__main__.py":
        assert not {m for m in modules if part_of(m) == "commands"}


@pytest.mark.parametrize(
    "path",
    [p for folder in PLUGINS for p in python_files(folder)],
    ids=lambda p: str(p.relative_to(ROOT)),
)
def test_plugins_import_the_engine_and_their_own_folder_alone(path):
    """A data set may be a folder of files; two plug-ins of one kind never know each other."""
    family = path.relative_to(ROOT).parts[:2]
    for module in imported_modules(path):
        assert module.split(".")[0] not in BARE, module
        if part_of(module) in PLUGINS:
            inside = module.split(".")[1:3]
            assert len(family) == 2 and not family[1].endswith(".py"), module
            assert inside == list(family), module


@pytest.mark.parametrize("path", python_files("collision"), ids=lambda p: str(p.relative_to(ROOT)))
def test_a_station_imports_only_stations_before_it(path):
    own = path.relative_to(ROOT / "collision").with_suffix("").parts[0]
    if own in ("__init__", "__main__"):  # the door and the library's face
        return
    order = (*FLAT, *STATIONS)
    assert own in order, f"{own} has no place in the order of stations"
    for module in imported_modules(path):
        other = part_of(module)
        if other in order and other != own:
            assert order.index(other) < order.index(own), f"{own} imports {module}"


def test_every_station_has_its_place_and_the_readme_names_it():
    folders = {path.stem for path in (ROOT / "collision").iterdir() if path.name[0] not in "_."}
    assert folders - {"py"} == {*FLAT, *STATIONS}
    tree = (ROOT / "README.md").read_text().partition("## The tree")[2].partition("## ")[0]
    named = set(re.findall(r"[a-z_]+(?=/|\.py)", tree))
    everything = {
        p.name for p in ROOT.iterdir() if p.is_dir() and p.name[0] != "." and tracked(p.name)
    }
    assert {*everything, *folders} - {"py"} <= named


def test_the_tests_mirror_the_engine():
    """Each folder of tests is called like a station, each file like a module of it or its theme."""
    for folder in (ROOT / "tests").iterdir():
        if folder.is_dir() and folder.name not in ("kit", "golden", "__pycache__"):
            home = (
                ROOT / folder.name if folder.name in PLUGINS else ROOT / "collision" / folder.name
            )
            assert home.is_dir(), folder
    for station in (path for path in (ROOT / "collision").iterdir() if path.is_dir()):
        if station.name != "__pycache__":
            assert list((ROOT / "tests" / station.name).glob("test_*.py")), station


def test_no_module_is_too_long():
    for folder in ("collision", *PLUGINS):
        for path in python_files(folder):
            assert len(path.read_text().splitlines()) <= 400, path
    for path in (ROOT / "collision").rglob("assets/*"):
        assert len(path.read_text().splitlines()) <= 400, path


def test_no_script_of_a_page_is_too_long():
    for path in (ROOT / "collision").rglob("*.js"):
        assert len(path.read_text().splitlines()) <= 400, path


def test_no_plugin_is_named_like_a_library():
    """`backbones/timm.py` was once imported as timm."""
    names = [p.stem for folder in PLUGINS for p in (ROOT / folder).glob("*.py")]
    code = f"import importlib.util as u; print(*filter(u.find_spec, {names}))"
    found = subprocess.check_output([sys.executable, "-I", "-c", code], cwd="/", text=True)
    assert not found.split(), f"{found} is a library's name"


def test_plugin_folders_are_not_packages():
    for folder in BARE:
        assert not list((ROOT / folder).rglob("__init__.py"))


def test_the_package_is_not_inside_itself():
    with pytest.raises(ImportError):
        importlib.import_module("collision.collision")


def test_bare_datasets_is_not_ours():
    code = (
        "import collision.datasets, importlib.util as u; spec = u.find_spec('datasets');"
        "assert spec is None or 'site-packages' in str(spec.origin), spec"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT.parent, env=_env())


def _env():
    return {**os.environ, "PYTHONPATH": ""}


def tracked(*folders):
    listing = subprocess.run(
        [
            "git",
            "-C",
            str(ROOT),
            "ls-files",
            "--cached",
            "--others",
            "--exclude-standard",
            *folders,
        ],
        capture_output=True,
        text=True,
    )
    if listing.returncode:
        pytest.skip("not a git checkout")
    return {name for name in listing.stdout.split() if (ROOT / name).is_file()}


@pytest.fixture(scope="session")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"  # a copy: a stale build/ in the checkout would get into the wheel
    for name in tracked():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, source / name)
    subprocess.run(
        [sys.executable, "-m", "uv", "build", "--wheel", "-q", "-o", str(folder), str(source)],
        check=True,
    )
    return next(folder.glob("*.whl"))


def test_the_wheel_holds_exactly_the_tracked_files(wheel):
    wanted = set()
    for name in tracked("collision", *PLUGINS, "configs"):
        if Path(name).suffix in (".py", ".yaml", ".typed", ".css", ".js"):
            wanted.add(name if name.startswith("collision/") else f"collision/{name}")
    with zipfile.ZipFile(wheel) as archive:
        found = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert found == wanted


def test_a_verb_runs_from_an_installed_wheel(wheel, tmp_path):
    """In a clean environment, from another folder, beside a library called `datasets`."""
    venv = tmp_path / "venv"
    uv = [sys.executable, "-m", "uv"]
    subprocess.run([*uv, "venv", "-q", str(venv), "--python", sys.executable], check=True)
    python = venv / "bin" / "python"
    install = [*uv, "pip", "install", "-q", "--no-deps", "--python", str(python)]
    subprocess.run([*install, str(wheel)], check=True)
    site = next((venv / "lib").glob("python*/site-packages"))
    # The libraries are those of this environment: only our own files come from the wheel.
    own = next(p for p in map(Path, sys.path) if (p / "torch").is_dir())
    (site / "libraries.pth").write_text(f"{own}\n")
    theirs = site / "datasets"
    theirs.mkdir()
    (theirs / "__init__.py").write_text("marker = 'theirs'\n")
    work = tmp_path / "elsewhere"
    work.mkdir()
    code = (
        "import collision, datasets; from collision.config import config_dir;"
        "assert datasets.marker == 'theirs';"
        f"assert {str(venv)!r} in collision.__file__, collision.__file__;"
        f"assert {str(venv)!r} in str(config_dir());"
        "import collision.datasets.manifest, importlib.util;"
        "assert importlib.util.find_spec('collision.temporal.gru')"
    )
    subprocess.run([str(python), "-c", code], check=True, cwd=work, env=_env())
    listed = subprocess.run(
        [str(venv / "bin" / "collision")],
        check=True,
        cwd=work,
        env=_env(),
        capture_output=True,
        text=True,
    )
    assert "predict" in listed.stdout
    answer = subprocess.run(
        [str(venv / "bin" / "collision"), "train", "--cfg", "job", "head=gru"],
        cwd=work,
        env=_env(),
        capture_output=True,
        text=True,
    )
    assert answer.returncode == 0, answer.stderr
    assert "collision.temporal.gru" in answer.stdout
