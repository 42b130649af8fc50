"""Heads and backbones as ONNX, each run by onnxruntime and held to its original.

Shapes: B examples, L feature steps, T frames a window, S steps a window, D feature dim, H W image.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import logging
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.export import Dim

from collision.errors import CollisionError, ConfigError
from collision.learning.predictor import Predictor
from collision.types import Backbone

TOLERANCE = 1e-4  # of logits; of features, beside their largest
_SHAPES = ((3, 9), (1, 1), (5, 17), (2, 40))  # B, L: other than those that are traced, too
_MOST_INSIDE = 2**30  # bytes of weights in the file itself; ONNX allows 2 GiB
_EXTRA = ("onnx", "onnxruntime", "onnxscript")


@dataclass(frozen=True)
class Exported:
    """An ONNX file.

    Attributes:
        file: Its name.
        difference: The largest from the original, in logits or as a share of the largest feature.
        inputs: Their shapes in words, by name.
    """

    file: str
    difference: float
    inputs: Mapping[str, str]


class NotExportedError(CollisionError):
    """A head or a backbone that has no ONNX, with the reason."""


def load_exporter() -> None:
    """Refuse (ConfigError) to begin where what writes and runs ONNX is not installed."""
    for name in _EXTRA:
        try:
            importlib.import_module(name)
        except ImportError:
            raise ConfigError(
                f"export needs {name}, which is not installed: `uv sync --extra export`, or leave "
                "ONNX out: onnx=[]."
            ) from None


def export_head(predictor: Predictor, folder: Path, file: str = "head.onnx") -> Exported:
    """Write a predictor's head, of any number of examples and steps.

    ``features [B, L, D]`` float32, ``times [B, L]`` seconds before the cut (0 or less), ``mask
    [B, L]`` bool, to ``logit [B]``, before the predictor's temperature.

    NotExportedError: It cannot be traced, or ONNX gives other logits.
    """
    model = predictor.model.cpu().eval()
    axes = {0: Dim.DYNAMIC, 1: Dim.DYNAMIC}
    names = ("features", "times", "mask")
    given = _examples(predictor, *_SHAPES[0])
    what = f"head {predictor.parts['head'].name}"
    _write(what, model, dict(zip(names, given, strict=True)), axes, folder / file, "logit")
    difference = 0.0
    session = _session(folder / file)
    for shape in _SHAPES:
        given = _examples(predictor, *shape)
        with torch.no_grad():
            wanted = model(*given).numpy()
        found = _run(session, dict(zip(names, given, strict=True)))
        difference = max(difference, float(np.abs(found - wanted).max()))
    _check(what, difference, folder / file)
    shapes = f"float32 [batch, steps, {predictor.spec.feature_dim}]"
    return Exported(
        file, difference, {"features": shapes, "times": "float32 [batch, steps]", "mask": "bool"}
    )


def export_backbone(
    backbone: Backbone, name: str, folder: Path, file: str = "backbone.onnx"
) -> Exported:
    """Write a backbone, of any number of windows: ``frames uint8 [B, T, H, W, 3]`` to features.

    They are ``float32 [B, S, D]``. Windows that the beginning of a file cuts short are left out.

    NotExportedError: It cannot be traced, or ONNX gives other features.
    """
    if not isinstance(backbone, nn.Module) or not list(backbone.parameters()):
        raise NotExportedError(f"backbone {name}: it is no network, but a program.")
    spec = backbone.spec
    shape = spec.num_frames, spec.height, spec.width, 3
    draw = torch.Generator().manual_seed(0)

    def frames(count: int) -> Tensor:
        return torch.randint(0, 256, (count, *shape), dtype=torch.uint8, generator=draw)

    model = backbone.cpu().eval()
    what = f"backbone {name}"
    _write(what, model, {"frames": frames(2)}, {0: Dim.DYNAMIC}, folder / file, "features")
    session, difference = _session(folder / file), 0.0
    for count in (2, 1, 3):
        given = frames(count)
        with torch.no_grad():
            wanted = model(given).float().numpy()
        found = _run(session, {"frames": given})
        scale = max(1e-6, float(np.abs(wanted).max()))
        difference = max(difference, float(np.abs(found - wanted).max()) / scale)
    _check(what, difference, folder / file)
    return Exported(file, difference, {"frames": f"uint8 [batch, {', '.join(map(str, shape))}]"})


def _examples(predictor: Predictor, batch: int, steps: int) -> tuple[Tensor, Tensor, Tensor]:
    """Draw what a head may see; of the first example the older half is masked."""
    draw = torch.Generator().manual_seed(batch * 1000 + steps)
    state = predictor.model.state_dict()
    mean, std = (
        next(value for name, value in state.items() if name.endswith(f"feature_{kind}")).cpu()
        for kind in ("mean", "std")
    )
    features = mean + std * torch.randn(batch, steps, len(mean), generator=draw)
    times = torch.linspace(-0.25 * (steps - 1), 0, steps).expand(batch, steps).contiguous()
    mask = torch.ones(batch, steps, dtype=torch.bool)
    mask[0, : steps // 2] = False
    return features.float(), times, mask


def _write(
    what: str,
    model: nn.Module,
    given: Mapping[str, Tensor],
    axes: Mapping[int, Any],
    target: Path,
    output: str,
) -> None:
    _remove(target)
    try:
        # Gradients are enabled: what backbones have folded for their own CPUs is not traced.
        with _quiet(), torch.enable_grad():
            made = torch.onnx.export(
                model,
                tuple(given.values()),
                input_names=list(given),
                output_names=[output],
                dynamic_shapes=tuple(dict(axes) for _ in given),
                dynamo=True,
                verbose=False,
            )
    except Exception as error:  # torch's tracer raises what it likes
        reason = _reason(error)
        raise NotExportedError(f"{what}: torch cannot trace it for ONNX ({reason}).") from error
    assert made is not None
    for node in (*made.model.graph, *(n for f in made.model.functions.values() for n in f)):
        node.metadata_props.clear()  # where in whose files each line stands
        node.doc_string = None
    size = sum(one.numel() * one.element_size() for one in model.state_dict().values())
    made.save(str(target), external_data=size > _MOST_INSIDE)


def _reason(error: BaseException) -> str:
    """Give the tracer's first cause in one line."""
    while error.__cause__ is not None:
        error = error.__cause__
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:120]}"


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the tracer's diary to itself."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _session(file: Path) -> Any:
    import onnxruntime

    onnxruntime.set_default_logger_severity(3)
    return onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])


def _run(session: Any, given: Mapping[str, Tensor]) -> np.ndarray:
    """Run it; an input that plays no role has been left out of the graph."""
    wanted = [one.name for one in session.get_inputs()]
    found: np.ndarray = session.run(None, {name: given[name].numpy() for name in wanted})[0]
    return found


def _check(what: str, difference: float, file: Path) -> None:
    if not difference <= TOLERANCE:  # NaN is not
        _remove(file)
        raise NotExportedError(
            f"{what}: run by onnxruntime it differs by {difference:.1e}, more than {TOLERANCE:g}."
        )


def _remove(file: Path) -> None:
    for one in (file, file.with_name(f"{file.name}.data")):
        one.unlink(missing_ok=True)
