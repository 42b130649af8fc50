"""Any image model of timm as a backbone, frame by frame.

https://github.com/huggingface/pytorch-image-models (Apache-2.0; the weights have licences of their
own, which the spec names).

Shapes: B windows, T frames a window (1), S steps a window (1), D feature dim, C H W image.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import timm
import torch
from timm.data import resolve_model_data_config
from timm.models import PretrainedCfg, get_pretrained_cfg
from torch import nn

from collision.checks import UserPath, user_path
from collision.errors import ConfigError, WeightsNotFoundError
from collision.features.folding import folded
from collision.features.weights import StateDict, first_words, hub_file, package_file, read_weights
from collision.types import BackboneSpec, TokenLayer

_HUB_FILES = ("model.safetensors", "pytorch_model.bin")


@dataclass(eq=False, repr=False)
class TimmImage(nn.Module):
    """The pooled features of a timm model: what it would give to its classifier.

    Args:
        model: timm's name, with or without a tag (``resnet18``, ``resnet18.a1_in1k``).
        pretrained: False gives random weights, drawn from ``seed``, whatever ``package`` says.
        weights: A local file of weights for this model, instead of those of the hub.
        package: An installed Python package that carries the weights in ``models/*.pth``, in the
            order of timm's model but under other names.
        height: As ``width`` in pixels; null is the model's own. The whole frame is squashed.
        dtype: Of the stored features, ``float16`` or ``float32``.
    """

    model: str
    pretrained: bool = True
    weights: UserPath | None = None
    package: str | None = None
    height: int | None = None
    width: int | None = None
    dtype: str = "float16"
    seed: int = 0
    scale: torch.Tensor = field(init=False)
    shift: torch.Tensor = field(init=False)

    def __post_init__(self) -> None:
        super().__init__()
        model = self.__dict__.pop("model")  # the network takes its name, as saved digests have it
        _check_name(model)
        if not self.pretrained and self.weights:
            raise ConfigError(
                "backbone.pretrained=false means random weights, but "
                f"backbone.weights={self.weights}. Leave out one or the other."
            )
        state, source = (None, "random")
        if self.pretrained:
            weights = user_path(self.weights) if self.weights else None
            state, source = _find(model, weights, self.package)
        config = _published(model)
        height, width = config.input_size[1:]
        height = height if self.height is None else self.height
        size = (height, width if self.width is None else self.width)
        self.add_module("model", _build(model, state, size, self.seed))
        data = resolve_model_data_config(self._network)
        mean, std = torch.tensor(data["mean"]), torch.tensor(data["std"])
        # uint8 * scale + shift is (uint8 / 255 - mean) / std.
        self.register_buffer("scale", (1 / (255 * std)).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("shift", (-mean / std).view(1, 3, 1, 1), persistent=False)
        self.eval().requires_grad_(False)
        # On CPUs, convolutions run twice as fast on this layout.
        self.to(memory_format=torch.channels_last)
        pool = getattr(self._network, "global_pool", "avg")
        pooling = pool if isinstance(pool, str) else str(getattr(pool, "pool_type", "avg"))
        self.spec = BackboneSpec(
            name=f"timm/{model}" if self.pretrained else f"timm/{model}-random{self.seed}",
            implementation=f"timm {timm.__version__}",
            num_frames=1,
            fps=1.0,
            height=size[0],
            width=size[1],
            mean=tuple(data["mean"]),
            std=tuple(data["std"]),
            num_steps=1,
            feature_dim=self._probe(size),
            token_pooling=pooling,
            dtype=self.dtype,
            source=source,
            licence=(config.license or "") if self.pretrained and not self.weights else "",
        )

    @property
    def _network(self) -> Any:
        """The timm model: all have forward_features and forward_head; no type of it says so."""
        return self.get_submodule("model")

    def token_layer(self) -> TokenLayer | None:
        """Say where a vision transformer's tokens lie; None of another network."""
        network = self._network
        blocks = getattr(network, "blocks", None)
        grid = getattr(getattr(network, "patch_embed", None), "grid_size", None)
        if not isinstance(blocks, nn.Sequential | nn.ModuleList) or not grid:
            return None
        if getattr(network, "num_prefix_tokens", None) is None:  # not of timm's plain kind
            return None
        return TokenLayer(blocks[-1], int(grid[0]), int(grid[1]), int(network.num_prefix_tokens))

    def _for_cpu(self, height: int, width: int) -> Any:
        """The network with its batch norms folded, made once and out of sight of ``state_dict``."""
        if "folded" not in self.__dict__:
            self.__dict__["folded"] = folded(self._network, height, width)
        return self.__dict__["folded"]

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        """Turn ``uint8 [B, 1, H, W, 3]`` into ``float [B, 1, D]``."""
        assert frames.dtype == torch.uint8 and frames.shape[1] == 1, (frames.dtype, frames.shape)
        images = frames[:, 0].permute(0, 3, 1, 2)  # a view that is channels_last already
        normal = images.float() * self.scale + self.shift
        # `meta` has shapes alone, and nothing to fold; what is folded has no gradients.
        on_cpu = images.device.type == "cpu" and not torch.is_grad_enabled()
        network = self._for_cpu(*images.shape[-2:]) if on_cpu else self._network
        features = network.forward_head(network.forward_features(normal), pre_logits=True)
        return features[:, None]

    def _probe(self, size: tuple[int, int]) -> int:
        """Try the model on one black frame; give the size of its feature."""
        patch = getattr(getattr(self._network, "patch_embed", None), "patch_size", (1, 1))
        if size[0] % patch[0] or size[1] % patch[1]:
            raise _wrong_size(size, ValueError(f"patches of {patch[0]} x {patch[1]} pixels"))
        try:
            with torch.inference_mode():
                features = self(torch.zeros(1, 1, *size, 3, dtype=torch.uint8))
        except (RuntimeError, AssertionError, ValueError) as error:
            raise _wrong_size(size, error) from error
        if features.ndim != 3:
            raise ConfigError(
                f"backbone.model={self._network.default_cfg['architecture']} gives features of "
                f"shape {list(features.shape[2:])} a frame, not one vector. Choose another model."
            )
        return features.shape[-1]


def _check_name(model: str) -> None:
    architecture, _, tag = model.partition(".")
    if not timm.is_model(architecture):
        near = difflib.get_close_matches(architecture, timm.list_models(), n=5, cutoff=0.5)
        raise ConfigError(
            f"timm has no model {architecture!r} (backbone.model={model}). "
            f"Near it: {', '.join(near) or 'nothing'}. "
            "All names: python -c 'import timm; print(*timm.list_models())'"
        )
    tags = [name.partition(".")[2] for name in timm.list_pretrained(f"{architecture}.*")]
    if tag and tag not in tags:
        raise ConfigError(
            f"timm has no weights {tag!r} for {architecture} (backbone.model={model}). "
            f"There are: {', '.join(tags) or 'none'}."
        )


def _published(model: str) -> PretrainedCfg:
    config = get_pretrained_cfg(model)
    assert config is not None, model  # timm gives none for unknown names, which _check_name refused
    return config


def _find(model: str, weights: Path | None, package: str | None) -> tuple[StateDict, str]:
    """Find pretrained weights; give them and the words that say where they come from."""
    if weights:
        return read_weights(weights), weights.name
    if package:
        return _renamed(read_weights(package_file(package, "models/*.pth")), model), package
    config = _published(model)
    local = "Give a local file: backbone.weights=FILE (.safetensors or .pth)"
    if not config.hf_hub_id:
        raise WeightsNotFoundError(
            f"The Hugging Face hub has no weights for backbone.model={model} "
            f"(timm's address for them: {config.url or 'none'}). {local}, or draw random ones: "
            "backbone.pretrained=false."
        )
    others = f"{local}, or take weights that are installed: backbone=efficientnet_lite0."
    return read_weights(hub_file(config.hf_hub_id, _HUB_FILES, others)), config.hf_hub_id


def _renamed(state: StateDict, model: str) -> StateDict:
    """Give weights the names of timm's model by their order, checking each shape."""
    with torch.device("meta"):
        wanted = timm.create_model(model).state_dict()
    shapes = [tuple(tensor.shape) for tensor in state.values()]
    if shapes != [tuple(tensor.shape) for tensor in wanted.values()]:
        raise WeightsNotFoundError(
            f"The weights of backbone.package do not fit backbone.model={model}: they are of "
            "another model. Leave both as configs/backbone has them, or give backbone.weights."
        )
    return dict(zip(wanted, state.values(), strict=True))


def _build(model: str, state: StateDict | None, size: tuple[int, int], seed: int) -> nn.Module:
    config = _published(model)
    # Convolutional models take any size and no such option.
    options: dict[str, Any] = {"img_size": size} if config.fixed_input_size else {}
    if state is not None:
        # timm renames and resizes weights where a model needs it, then loads them strictly.
        options |= {"pretrained": True, "pretrained_cfg_overlay": {"state_dict": state}}
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            built: Any = timm.create_model(model, **options)
    except (RuntimeError, KeyError) as error:
        if state is None:
            raise _wrong_size(size, error) from error
        raise WeightsNotFoundError(
            f"The weights do not fit backbone.model={model}: {first_words(error)}"
        ) from error
    except (TypeError, AssertionError, ValueError) as error:
        raise _wrong_size(size, error) from error
    if built.num_classes:
        built.reset_classifier(0)
    return built


def _wrong_size(size: tuple[int, int], error: Exception) -> ConfigError:
    return ConfigError(
        f"The model cannot take backbone.height={size[0]} backbone.width={size[1]}: "
        f"{first_words(error)}. Try multiples of 32 (of 14 for models with patch14 in their "
        "name), or leave both out for the model's own size."
    )
