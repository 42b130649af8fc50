"""V-JEPA 2 as a backbone, by transformers' implementation of its encoder.

https://arxiv.org/abs/2506.09985; weights at https://huggingface.co/facebook. Meta's own code gives
slightly different features, so the implementation is part of the spec.

Shapes: B windows, T frames a window, S steps a window, N tokens a tubelet, D feature dim, C H W
image. A tubelet is what one token spans in time: two frames.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import torch
import transformers
from einops import rearrange, reduce
from torch import nn
from transformers import VJEPA2Config, VJEPA2Model

from collision.checks import UserPath, user_path
from collision.errors import ConfigError, WeightsNotFoundError
from collision.features.weights import StateDict, first_words, hub_file, read_weights
from collision.types import BackboneSpec, TokenLayer

_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_FILES = ("model.safetensors", "model.safetensors.index.json")

_LARGE = {"hidden_size": 1024, "num_attention_heads": 16, "num_hidden_layers": 24}
_HUGE = {"hidden_size": 1280, "num_attention_heads": 16, "num_hidden_layers": 32}
_GIANT = {
    "hidden_size": 1408,
    "num_attention_heads": 22,
    "num_hidden_layers": 40,
    "mlp_ratio": 48 / 11,
}
_GIANT_384 = {**_GIANT, "crop_size": 384}
_TINY = {"hidden_size": 96, "num_attention_heads": 4, "num_hidden_layers": 2, "crop_size": 64}


class _Size(NamedTuple):
    """A checkpoint of the hub, and the shape that random weights of this size have."""

    hub: str | None
    licence: str
    shape: Mapping[str, Any]


# No licence is given where we could not read the checkpoint's own page.
SIZES = {
    "tiny": _Size(None, "", _TINY),
    "l": _Size("facebook/vjepa2-vitl-fpc64-256", "mit", _LARGE),
    "h": _Size("facebook/vjepa2-vith-fpc64-256", "apache-2.0", _HUGE),
    "g": _Size("facebook/vjepa2-vitg-fpc64-256", "apache-2.0", _GIANT),
    "g384": _Size("facebook/vjepa2-vitg-fpc64-384", "apache-2.0", _GIANT_384),
    "l_ssv2": _Size("facebook/vjepa2-vitl-fpc16-256-ssv2", "", _LARGE),
    "l_diving48": _Size("facebook/vjepa2-vitl-fpc32-256-diving48", "", _LARGE),
    "g384_ssv2": _Size("facebook/vjepa2-vitg-fpc64-384-ssv2", "", _GIANT_384),
    "g384_diving48": _Size("facebook/vjepa2-vitg-fpc32-384-diving48", "", _GIANT_384),
}
TOKEN_POOLINGS = ("tubelet", "window")


@dataclass(eq=False, repr=False)
class VJEPA2(nn.Module):
    """The encoder's tokens, averaged over the picture.

    Args:
        size: One of ``SIZES``; ``tiny`` has random weights only. Not used with ``weights``.
        pretrained: False gives random weights, drawn from ``seed``.
        weights: A local folder as ``save_pretrained`` writes it (``config.json`` and safetensors),
            of the plain model or of one with a classifier, instead of the hub's.
        num_frames: In a window; a multiple of the two that a tubelet spans.
        min_frames: So few a window may have that the beginning of its file cuts short; of an odd
            number the oldest is left out. null: a whole window or none, as attention over fewer
            frames gives other features.
        crop_size: Height and width of the input in pixels; null is the checkpoint's own. The
            rotary positions follow it. The whole frame is squashed.
        num_layers: Run only so many of the encoder's layers, then its last norm; null runs all.
        token_pooling: ``tubelet``: one feature for each (S = T / 2). ``window``: one for all.
        dtype: Of the stored features, ``float16`` or ``float32``.
    """

    size: str = "l"
    pretrained: bool = True
    weights: UserPath | None = None
    num_frames: int = 16
    min_frames: int | None = None
    fps: int | float = 8  # 8 and 8.0 have different fingerprints: it stays as it is given
    crop_size: int | None = None
    num_layers: int | None = None
    token_pooling: str = "tubelet"
    dtype: str = "float16"
    seed: int = 0
    tubelet_size: int = field(init=False)
    patch_size: int = field(init=False)
    scale: torch.Tensor = field(init=False)
    shift: torch.Tensor = field(init=False)

    def __post_init__(self) -> None:
        super().__init__()
        for option, choices in (("size", SIZES), ("token_pooling", TOKEN_POOLINGS)):
            if (value := getattr(self, option)) not in choices:
                there = ", ".join(choices)
                raise ConfigError(f"backbone.{option}={value!r}: choose one of {there}.")
        if self.weights and not self.pretrained:
            raise ConfigError(
                "backbone.pretrained=false means random weights, but "
                f"backbone.weights={self.weights}. Leave out one or the other."
            )
        if self.weights:
            folder = user_path(self.weights)
            config, state = _read_checkpoint(lambda *names: _local_file(folder, names))
            name, source, licence = f"vjepa2/{folder.name}", folder.name, ""
        elif self.pretrained:
            hub, licence, _ = SIZES[self.size]
            config, state = _from_hub(self.size, hub)
            name = source = str(hub)
        else:
            config, state = VJEPA2Config(**SIZES[self.size].shape), None
            name, source, licence = f"vjepa2-{self.size}-random{self.seed}", "random", ""
        if self.crop_size is not None:
            config.crop_size = self.crop_size
        _check_window(config, self.num_frames, self.fps)
        self.tubelet_size = config.tubelet_size
        patch = config.patch_size
        self.patch_size = patch if isinstance(patch, int) else int(patch[0])
        if self.min_frames is not None and self.min_frames < self.tubelet_size:
            raise ConfigError(
                f"backbone.min_frames={self.min_frames}: give {self.tubelet_size} or more, the "
                "frames that one token of V-JEPA 2 spans, or null for whole windows alone."
            )
        is_cut = self.min_frames is not None and self.min_frames < self.num_frames
        self.encoder = _encoder(config, state, self.seed)
        if self.num_layers is not None:
            available = config.num_hidden_layers
            if not 1 <= self.num_layers <= available:
                given = f"backbone.num_layers={self.num_layers}"
                raise ConfigError(f"{given}: this V-JEPA 2 has 1 to {available} layers to run.")
            layers = list(self.encoder.get_submodule("layer").children())
            self.encoder.layer = nn.ModuleList(layers[: self.num_layers])
            name += f"-layers{self.num_layers}"
        # uint8 * scale + shift is (uint8 / 255 - mean) / std.
        mean, std = torch.tensor(_MEAN), torch.tensor(_STD)
        self.register_buffer("scale", (1 / (255 * std)).view(3, 1, 1), persistent=False)
        self.register_buffer("shift", (-mean / std).view(3, 1, 1), persistent=False)
        self.eval().requires_grad_(False)
        num_tubelets = self.num_frames // config.tubelet_size
        self.spec = BackboneSpec(
            name=name,
            implementation=f"transformers {transformers.__version__}",
            num_frames=self.num_frames,
            fps=self.fps,
            height=config.crop_size,
            width=config.crop_size,
            mean=_MEAN,
            std=_STD,
            num_steps=num_tubelets if self.token_pooling == "tubelet" else 1,
            feature_dim=config.hidden_size,
            token_pooling=f"mean over the {self.token_pooling}",
            dtype=self.dtype,
            source=source,
            licence=licence,
            min_frames=self.min_frames if is_cut else None,
        )

    def token_layer(self) -> TokenLayer:
        """Say where the tokens lie: of one tubelet after the other."""
        side = self.spec.height // self.patch_size
        return TokenLayer(list(self.encoder.get_submodule("layer").children())[-1], side, side)

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        """Turn ``uint8 [B, T, H, W, 3]`` into ``float [B, S, D]``; another H x W is refused."""
        spec, num_frames = self.spec, frames.shape[1]
        assert frames.dtype == torch.uint8, frames.dtype
        assert spec.least_frames <= num_frames <= spec.num_frames, frames.shape
        frames = frames[:, num_frames % self.tubelet_size :]
        if frames.shape[2:4] != (spec.height, spec.width):
            height, width = frames.shape[2:4]
            raise ConfigError(
                f"V-JEPA 2 got frames of {height} x {width} pixels, but its rotary positions are "
                f"made for {spec.height} x {spec.width}: tokens would be told wrong places, "
                f"silently. Squash frames to {spec.height} x {spec.width}, or build it with "
                "another backbone.crop_size."
            )
        images = rearrange(frames, "b t h w c -> b t c h w").float()
        pixels = torch.addcmul(self.shift, images, self.scale)
        tokens = self.encoder(pixel_values_videos=pixels).last_hidden_state
        # Tokens are ordered by tubelet, row and column.
        num_steps = 1 if self.token_pooling == "window" else num_frames // self.tubelet_size
        return reduce(tokens.float(), "b (s n) d -> b s d", "mean", s=num_steps)


def _check_window(config: VJEPA2Config, num_frames: int, fps: float) -> None:
    if num_frames < 1 or num_frames % config.tubelet_size:
        raise ConfigError(
            f"backbone.num_frames={num_frames}: give a multiple of {config.tubelet_size}, the "
            "frames that one token of V-JEPA 2 spans."
        )
    if not fps > 0:
        raise ConfigError(f"backbone.fps={fps}: give frames a second, above 0.")
    patch = config.patch_size if isinstance(config.patch_size, int) else config.patch_size[0]
    if config.crop_size < 1 or config.crop_size % patch:
        raise ConfigError(
            f"backbone.crop_size={config.crop_size}: give a multiple of {patch}, the "
            "pixels that one token of V-JEPA 2 spans, or null for the checkpoint's own."
        )


def _from_hub(size: str, hub: str | None) -> tuple[VJEPA2Config, StateDict]:
    if hub is None:
        raise ConfigError(
            f"backbone.size={size} has no trained weights: it is for smoke runs. Add "
            "backbone.pretrained=false, or choose another size."
        )
    others = (
        "Give a local copy: backbone.weights=FOLDER (with config.json and model.safetensors). "
        "What works without a network: backbone=efficientnet_lite0, whose weights come with the "
        "installation, or random weights: backbone.size=tiny backbone.pretrained=false."
    )
    return _read_checkpoint(lambda *names: hub_file(hub, names, others))


def _local_file(folder: Path, names: tuple[str, ...]) -> Path:
    for name in names:
        if (folder / name).is_file():
            return folder / name
    raise WeightsNotFoundError(
        f"backbone.weights={folder}: there is no {' or '.join(names)} in it. Give a folder as "
        "transformers' save_pretrained writes it, or a copy of a V-JEPA 2 repository of the "
        "Hugging Face hub."
    )


def _read_checkpoint(get: Callable[..., Path]) -> tuple[VJEPA2Config, StateDict]:
    """Read configuration and weights; ``get`` finds the first file that exists of those named."""
    config = _read_config(get("config.json"))
    file = get(*_FILES)
    if file.suffix != ".json":
        return config, read_weights(file)
    shards = sorted(set(_read_json(file).get("weight_map", {}).values()))
    if any(Path(shard).name != shard for shard in shards):
        raise WeightsNotFoundError(
            f"{str(file)!r} names files outside its folder: {shards[:3]}. Get the checkpoint anew."
        )
    state: StateDict = {}
    for shard in shards:
        state |= read_weights(get(shard))
    return config, state


def _read_json(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise WeightsNotFoundError(
            f"{str(file)!r} is not JSON ({error}). Get the checkpoint anew."
        ) from error
    return content if isinstance(content, dict) else {}


def _read_config(file: Path) -> VJEPA2Config:
    content = _read_json(file)
    if content.get("model_type") != "vjepa2":
        raise WeightsNotFoundError(
            f"{str(file)!r} is of a model of type {content.get('model_type')!r}, not 'vjepa2'. "
            "Give the folder of a V-JEPA 2 checkpoint."
        )
    try:
        return VJEPA2Config.from_dict(content)
    except Exception as error:  # the library's own kinds, which are not public
        raise WeightsNotFoundError(
            f"transformers {transformers.__version__} cannot use {str(file)!r}: "
            f"{first_words(error)}"
        ) from error


def _encoder(config: VJEPA2Config, state: StateDict | None, seed: int) -> nn.Module:
    """Build the encoder, at random or from a checkpoint, each of whose weights must fit."""
    if state is None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return _without_predictor(config)
    with torch.device("meta"):  # weights are assigned, not drawn and overwritten
        encoder = _without_predictor(config)
    names = {name: name.removeprefix("vjepa2.") for name in state}  # the classifier's prefix
    own = {
        short.removeprefix("encoder."): state[name].float()
        for name, short in names.items()
        if short.startswith("encoder.")
    }
    try:
        encoder.load_state_dict(own, assign=True)
    except RuntimeError as error:
        raise WeightsNotFoundError(
            f"The weights do not fit the V-JEPA 2 that config.json describes: "
            f"{first_words(error)}. Get the checkpoint anew, both files from one place."
        ) from error
    return encoder


def _without_predictor(config: VJEPA2Config) -> nn.Module:
    """Build transformers' model and keep its encoder: the same as ``skip_predictor=True``."""
    try:
        config._attn_implementation = "sdpa"
        config.pred_num_hidden_layers = 0  # what is thrown away need not be drawn
        return VJEPA2Model(config).encoder
    except (ValueError, RuntimeError, TypeError, ZeroDivisionError) as error:
        raise WeightsNotFoundError(
            f"transformers cannot build the V-JEPA 2 that config.json describes: "
            f"{first_words(error)}"
        ) from error
