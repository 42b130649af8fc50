"""The model card of a predictor: what it is, what was measured, whose weights are behind it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from collision.export.onnx import Exported
from collision.learning.predictor import PAINTED, Predictor
from collision.metrics.warned import Warned
from collision.report.headline import sentence
from collision.report.saved import built
from collision.untrusted import reading

_HEAD = """---
library_name: dashcam-collision
pipeline_tag: video-classification
tags:
- video-classification
- dashcam
- collision-anticipation
---
"""
_SCRIPT = """`run_onnx.py` does it all in one short file, without dashcam-collision:

```sh
pip install av numpy onnxruntime
python run_onnx.py clip.mp4
```

It prints the seconds and the probability, every `steps.stride` seconds."""
_OWN_LICENCE = (
    "The head's weights have no licence until you give them one: add a line `license:` at the top "
    "of this card. The data that they were trained on may set terms, too."
)


def model_card(
    predictor: Predictor,
    metrics: Mapping[str, Any] | None,
    files: Sequence[Exported],
    left_out: Sequence[str],
    version: str,
    *,
    has_script: bool = False,
) -> str:
    """Write the card, in Markdown; ``metrics`` as in a run's ``metrics.json``, None: not measured.

    ``left_out``: what has no ONNX, a sentence each. ``has_script``: ``run_onnx.py`` lies there.
    """
    parts = predictor.parts
    named = ", ".join(f"{group} `{one.name or one.target}`" for group, one in parts.items())
    lines = [
        f"{_HEAD}# Collision predictor: {_plain(parts['backbone'].name)} with "
        f"{_plain(parts['head'].name)}",
        "Gives the probability, at each moment of a dashcam video, that a collision is about to "
        f"happen. Made with dashcam-collision {version}: {named}.",
    ]
    if predictor.origin.is_painted:
        lines.append(f"**{PAINTED}**")
    lines += ["## Use it", _use(predictor)]
    lines += ["## What was measured", *_measured(metrics)]
    lines += ["## What it learned from", _learned(predictor)]
    lines += ["## Licences", *_licences(predictor)]
    lines += ["## ONNX", *_onnx(predictor, files, left_out)]
    lines += [_SCRIPT] if has_script else []
    return "\n\n".join(lines) + "\n"


def _use(predictor: Predictor) -> str:
    point = predictor.threshold
    known = (
        f"The suggested threshold is {point.threshold:.3f}." if point else "It has no threshold."
    )
    return (
        "```sh\ncollision predict clip.mp4 checkpoint=FOLDER\n"
        "collision evaluate FOLDER 'datasets=[clips.csv]'\n```\n\n"
        f"FOLDER is this one. {known} Probabilities are `sigmoid(logit / "
        f"{predictor.temperature:.4f})`."
    )


def _measured(metrics: Mapping[str, Any] | None) -> list[str]:
    if metrics is None or not isinstance(metrics.get("ap"), dict):
        return ["Nothing: the run's folder held no `metrics.json` with labels."]
    chance = metrics.get("chance") or {}
    rows = [
        "| seconds before the event | AP | 95 % interval | chance |",
        "| --- | ---: | ---: | ---: |",
    ]
    for name, value in metrics["ap"].items():
        ends = [value.get("low"), value.get("high")]
        interval = "" if None in ends else f"{ends[0]:.3f} to {ends[1]:.3f}"
        own = f"{chance[name]:.3f}" if isinstance(chance.get(name), int | float) else ""
        score = "" if value.get("value") is None else f"{value['value']:.3f}"
        rows.append(f"| {_plain(name)} | {score} | {interval} | {own} |")
    seeds = metrics.get("seeds") or []
    about = (
        f"On the {_plain(metrics.get('split'))} split of {_plain(metrics.get('dataset'))}, trained "
        f"on {_plain(metrics.get('trained_on'))}; {len(seeds)} seed(s); weights of "
        f"{_plain(metrics.get('selected_on'))}."
    )
    warned = [
        f"- {_plain(one.get('message'))}"
        for one in metrics.get("warnings") or []
        if isinstance(one, dict)
    ]
    told = ["Warnings of that run:\n\n" + "\n".join(warned)] if warned else []
    return [*_headline(metrics), about, "\n".join(rows), *told]


def _headline(metrics: Mapping[str, Any]) -> list[str]:
    """The first sentence of the run's page, too; a run of an earlier version has none."""
    names = [str(one.get("name")) for one in metrics.get("warnings") or [] if isinstance(one, dict)]
    with reading("metrics.json"):
        warned: Sequence[Warned] = built(Sequence[Warned], metrics.get("warned") or [])
    said = sentence(warned, names)
    return [said] if said else []


def _learned(predictor: Predictor) -> str:
    origin = predictor.origin
    known = origin.learned_from
    count = {s: len(known.digests.get(s, ())) for s in ("train", "val")} if known else {}
    videos = f" ({count['train']} videos, {count['val']} for validation)" if count else ""
    return (
        f"{_plain(origin.dataset) or 'A data set without a name'}{videos}. `predictor.safetensors` "
        "holds digests of these videos and the names of their groups, so that whoever scores one "
        "of them is warned."
    )


def _licences(predictor: Predictor) -> list[str]:
    lines = []
    for one in predictor.fingerprint.parts:
        spec = one.spec
        licence = _plain(spec.licence) or "not known here: look it up where the weights come from"
        lines.append(
            f"- Backbone {_plain(spec.name)}, weights from {_plain(spec.source)}: {licence}."
        )
    return ["\n".join(lines), _OWN_LICENCE]


def _onnx(predictor: Predictor, files: Sequence[Exported], left_out: Sequence[str]) -> list[str]:
    if not files and not left_out:
        return ["None was asked for."]
    rows = [
        f"- `{one.file}`: "
        + ", ".join(f"`{name}` {shape}" for name, shape in one.inputs.items())
        + f". Run by onnxruntime it differs by {one.difference:.1e} at most."
        for one in files
    ]
    rows += [f"- Not exported: {_plain(text)}" for text in left_out]
    spec = predictor.spec
    how = (
        f"Frames are RGB, the whole picture squashed to {spec.height} x {spec.width} by FFmpeg's "
        "bilinear filter; at a time, the frame that was shown last. In `config.json`, `backbones` "
        "has the frames of a window (`num_frames`, 1 / `fps` seconds apart, the last one at its "
        "end), `steps` the windows of an example (`windows`, `stride` seconds apart) and the "
        "`times` that the head is given."
    )
    return ["\n".join(rows), how]


def _plain(text: object) -> str:
    """Give a name on one line that Markdown takes as it stands."""
    words = " ".join(str("" if text is None else text).split())
    return "".join(f"\\{c}" if c in "\\`*[]<>|#" else c for c in words)
