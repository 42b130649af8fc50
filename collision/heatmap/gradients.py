"""Gradients: how much of a score hangs on each token of the picture, to first order.

What goes into the last block of a transformer is multiplied by the score's gradient there, token
by token, as in HiResCAM (https://arxiv.org/abs/2011.08891): one pass, where occlusion takes dozens.
The gradient flows through the head and the last block alone. Captum's layer attributions want
inputs that have a gradient, and a backbone's are bytes; so a hook does it.

Shapes: N moments, R rows and C columns of tokens, w windows of a moment that exist, W windows of a
moment, T frames a window, S steps a window, D feature dim.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from lightning.fabric import Fabric
from numpy.typing import NDArray
from torch import Tensor

from collision.errors import VideoDecodeError
from collision.features.clips import Clip, ClipDataset
from collision.features.source import FeatureSource
from collision.learning.alignment import load_features
from collision.learning.predictor import Predictor
from collision.sampling.index import DataIndex
from collision.sampling.windows import index_windows
from collision.types import TokenLayer


def token_layer(backbone: object) -> TokenLayer | None:
    """Ask a backbone where its tokens lie; None: it has none, or does not say."""
    ask = getattr(backbone, "token_layer", None)
    found = ask() if callable(ask) else None
    return found if isinstance(found, TokenLayer) else None


def of_gradients(
    predictor: Predictor,
    source: FeatureSource,
    fabric: Fabric,
    about: DataIndex,
    on_share: Callable[[float], None],
) -> NDArray[np.float64]:
    """Say how much of the log-odds hangs on each token at each moment: ``[N, R, C]``.

    ``about``: one video, and its moments as the split ``test``, each of which can be scored.
    """
    backbone: Any = fabric.to_device(source.backbone())  # type: ignore[arg-type]
    examples, policy = about.examples["test"], predictor.policy
    requests = source.requests(about, policy)
    clips = ClipDataset(requests, source.spec, source.looks.index, source.fingerprint.reader)
    windows: dict[int, Tensor] = {}
    needed = index_windows(examples, policy, source.spec)
    for group, request in enumerate(requests):
        clip = clips[group]
        if not isinstance(clip, Clip):
            raise VideoDecodeError(request.path, clip.reason)
        first = int(needed.firsts[group]) + np.searchsorted(
            needed.ends_of(group), clip.end_times - 1e-9
        )
        for number, wanted in zip(first.tolist(), clip.windows, strict=True):
            frames = clip.frames[wanted[wanted >= 0]]
            frames = frames[:, :, ::-1] if request.view.flip else frames
            windows[number] = torch.from_numpy(np.ascontiguousarray(frames))
    data = load_features(about, source, policy, [])["test"]
    views = [view for view in policy.views]
    seen = [
        (moment, view, [int(n) for n in needed.places[moment, view]])
        for moment, view in np.ndindex(*needed.places.shape[:2])
        if any(int(n) in windows for n in needed.places[moment, view])
    ]
    assert len(seen) == len(data), (len(seen), len(data))
    total: dict[int, list[NDArray[np.float64]]] = {}
    for row, (moment, view, numbers) in enumerate(seen):
        own = _of_row(predictor, backbone, fabric, [windows.get(n) for n in numbers], data[row])
        total.setdefault(moment, []).append(own[:, ::-1] if views[view].flip else own)
        on_share((row + 1) / len(seen))
    return np.stack([np.mean(total[moment], axis=0) for moment in range(len(examples))])


def _of_row(
    predictor: Predictor,
    backbone: Any,
    fabric: Fabric,
    windows: list[Tensor | None],
    batch: dict[str, Tensor],
) -> NDArray[np.float64]:
    """Do it for one moment in one view, by its windows ``uint8 [T, H, W, 3]``: ``[R, C]``."""
    layer, spec = token_layer(backbone), backbone.spec
    assert layer is not None
    kept: list[Tensor] = []

    def catch(_: object, given: tuple[Any, ...], named: dict[str, Any]) -> tuple[Any, Any]:
        tokens = given[0].detach().requires_grad_()
        kept.append(tokens)
        return (tokens, *given[1:]), named

    handle = layer.block.register_forward_pre_hook(catch, with_kwargs=True)
    features = torch.zeros(len(windows), spec.num_steps, spec.feature_dim)
    try:
        with torch.enable_grad(), fabric.autocast():
            for place, frames in enumerate(windows):
                if frames is not None:
                    steps = backbone(frames[None].to(fabric.device)).float().cpu()[0]
                    padded = torch.nn.functional.pad(steps, (0, 0, spec.num_steps - len(steps), 0))
                    features = features.index_put((torch.tensor([place]),), padded[None])
            model = predictor.model.cpu().eval()
            given = features.flatten(0, 1)[None], batch["times"], batch["mask"]
            odds = model(*given).sum() / predictor.temperature
            slopes = torch.autograd.grad(odds, kept)
    finally:
        handle.remove()
    found = torch.zeros(layer.rows, layer.columns)
    for tokens, slope in zip(kept, slopes, strict=True):
        own = (tokens * slope).float().sum(-1).detach().cpu()[:, layer.before :]
        found += own.reshape(-1, layer.rows, layer.columns).sum(0)
    return found.numpy().astype(np.float64)
