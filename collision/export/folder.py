"""A folder that holds all of a predictor and nothing of the machine that made it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path, PureWindowsPath
from typing import Any

import yaml

from collision import __version__
from collision.api import Model
from collision.config import Part
from collision.errors import ConfigError
from collision.export.card import model_card
from collision.export.onnx import Exported, NotExportedError, export_backbone, export_head
from collision.files import write_json, write_whole
from collision.learning.predictor import Predictor
from collision.learning.predictor_files import BASELINE_FOLDER, FILE_NAME, find_predictors
from collision.option_groups import Folders
from collision.report.judged import read_metrics
from collision.sampling.windows import step_times
from collision.types import PLAIN
from collision.untrusted import read_config

# Of a run's files: what tells how it was trained and judged, and not where.
_CONFIG = (
    *("format", "dataset", "backbone", "fusion", "head", "pooling", "sampling", "loss"),
    *("optimizer", "scheduler", "trainer", "threshold", "seed", "seeds", "ensemble", "prior"),
    *("feature_dropout", "feature_noise", "components", "change", "mixup", "val_fraction"),
)
_METRICS = (
    *("version", "dataset", "data_digest", "feature_fingerprint", "videos", "split", "trained_on"),
    *("selected_on", "seeds", "sampling", "counts", "chance", "ap", "auc", "lift", "oracle"),
    *("bootstrap", "calibration", "operating_points", "temperatures", "baseline", "warnings"),
    "warned",
)
DATA = Folders.data_root
SCRIPT = "run_onnx.py"
_PATH = re.compile(r"(?<![\w.:/\\])(?:~?/|[A-Za-z]:[\\/])[^\s'\",;)]+")


def write_folder(
    model: Model, output: Path, onnx: Sequence[str] = ("head", "backbone")
) -> tuple[list[Exported], list[str]]:
    """Write predictors, configuration, results, ONNX and model card into a new or empty folder.

    Gives the ONNX files, and why others are left out, a sentence each.

    ConfigError: There are files in the folder already.
    """
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise ConfigError(
            f"output={output}: it is there already. Give a folder that is new or empty, or remove "
            "this one."
        )
    output.mkdir(parents=True, exist_ok=True)
    predictors = [_portable(one) for one in model.predictors]
    _save_predictors(model, predictors, output)
    config, metrics = _of_run(model.path)
    if config is not None:
        text = yaml.safe_dump(config, sort_keys=False, allow_unicode=True)
        write_whole(output / "config.yaml", text)
    if metrics is not None:
        write_json(output / "metrics.json", metrics)
    files, left_out = _export(model, output, onnx)
    write_json(output / "config.json", _described(predictors[0], files))
    has_script = _is_run_alone(predictors[0], files)
    if has_script:
        write_whole(output / SCRIPT, (Path(__file__).parent / SCRIPT).read_text(encoding="utf-8"))
    card = model_card(predictors[0], metrics, files, left_out, __version__, has_script=has_script)
    write_whole(output / "README.md", card)
    return files, left_out


def _save_predictors(model: Model, predictors: Sequence[Predictor], output: Path) -> None:
    places = [output / FILE_NAME]
    if len(predictors) > 1:
        files = find_predictors(model.path)
        places = [output / file.parent.name / FILE_NAME for file in files]
    for predictor, place in zip(predictors, places, strict=True):
        place.parent.mkdir(exist_ok=True)
        predictor.save(place)
    for baseline in model.baselines:
        (output / BASELINE_FOLDER).mkdir()
        _portable(baseline).save(output / BASELINE_FOLDER / FILE_NAME)


def _of_run(path: Path) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
    """Read a run's configuration and results; None of what there is not."""
    folder = path if path.is_dir() else path.parent
    config = metrics = None
    if (folder / "config.yaml").is_file():
        found = read_config(folder)
        root = str(found.get("data_root") or DATA)
        there = {key: _below(found[key], root) for key in _CONFIG if key in found}
        config = without_paths(there)
    if (folder / "metrics.json").is_file():
        found = read_metrics(folder)
        metrics = {key: without_paths(found[key]) for key in _METRICS if key in found}
    return config, metrics


def _export(model: Model, output: Path, onnx: Sequence[str]) -> tuple[list[Exported], list[str]]:
    files, left_out = [], []
    for what in onnx:
        try:
            if what == "head":
                files.append(export_head(model.predictors[0], output))
                continue
            several = len(model.source.parts) > 1
            for number, part in enumerate(model.source.parts, start=1):
                name = part.part.name or part.spec.name
                file = f"backbone{number}.onnx" if several else "backbone.onnx"
                files.append(export_backbone(part.backbone(), name, output, file))
        except NotExportedError as error:
            left_out.append(str(error))
    return files, left_out


def _is_run_alone(predictor: Predictor, files: Sequence[Exported]) -> bool:
    """Whether the script does as ``predict``: one backbone that looks at frames in one way."""
    made = {one.file for one in files}
    return made == {"head.onnx", "backbone.onnx"} and tuple(predictor.policy.views) == (PLAIN,)


def _described(predictor: Predictor, files: Sequence[Exported]) -> dict[str, Any]:
    """Say what whoever runs the ONNX files must know."""
    point, policy, spec = predictor.threshold, predictor.policy, predictor.spec
    windows, stride = policy.num_windows(spec), policy.window_stride
    times = [round(float(time), 6) for time in step_times(spec, windows, stride)]
    return {
        "model_type": "dashcam-collision",
        "version": __version__,
        "backbones": [one.spec.as_dict() for one in predictor.fingerprint.parts],
        "parts": {group: one.as_saved() for group, one in predictor.parts.items()},
        "sampling": asdict(policy),
        "steps": {
            "windows": windows,
            "stride": stride,
            "times": [round(float(t), 6) for t in times],
        },
        "temperature": predictor.temperature,
        "threshold": point.threshold if point else None,
        "onnx": {one.file: dict(one.inputs) for one in files},
    }


def _portable(predictor: Predictor) -> Predictor:
    parts = {
        group: Part(one.group, one.name, one.target, without_paths(one.options))
        for group, one in predictor.parts.items()
    }
    return replace(predictor, parts=parts)


def _below(data: Any, root: str) -> Any:
    """Name what lies below the run's ``data_root`` as it is called below the default one."""
    if isinstance(data, Mapping):
        return {key: _below(value, root) for key, value in data.items()}
    if isinstance(data, str) and Path(data).is_relative_to(root):
        return str(DATA / Path(data).relative_to(root))
    return data


def without_paths(data: Any) -> Any:
    """Leave of each absolute path in plain data its last part alone."""
    if isinstance(data, Mapping):
        return {without_paths(key): without_paths(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [without_paths(value) for value in data]
    if isinstance(data, Path):
        data = str(data)
    if not isinstance(data, str):
        return data
    if data.startswith(("/", "~")) or PureWindowsPath(data).drive:  # all of it, spaces as well
        return PureWindowsPath(data).name
    return _PATH.sub(lambda found: PureWindowsPath(found.group()).name, data)
