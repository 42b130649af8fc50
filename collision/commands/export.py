"""Make a folder of a trained run that can be handed on: safetensors, ONNX, model card."""

from __future__ import annotations

from collision import api
from collision.console import wide_console
from collision.export.folder import write_folder
from collision.export.onnx import load_exporter
from collision.options import ExportOptions


def run(options: ExportOptions, paths: list[str]) -> int:
    """Export a run's predictors."""
    if options.onnx:
        load_exporter()
    console = wide_console()
    model = api.load(paths[0], trust=options.trust, cache_root=options.cache_root)
    doing = "Exporting: tracing takes some seconds, of large heads a minute or two"
    if not console.is_terminal:  # a log shows no spinner
        console.print(doing)
    with console.status(doing):
        files, left_out = write_folder(model, options.output, options.onnx)
    for one in files:
        text = f"{one.file}: onnxruntime differs by {one.difference:.1e} at most (limit 1e-4)"
        console.print(text, markup=False, highlight=False, soft_wrap=True)
    for reason in left_out:
        console.print(f"not exported: {reason}", markup=False, highlight=False, soft_wrap=True)
    there = ", ".join(sorted(p.name for p in options.output.iterdir()))
    text = f"Exported: {options.output} ({there}). Its licence is yours to choose: see README.md."
    console.print(text, markup=False, highlight=False, soft_wrap=True)
    return 0
