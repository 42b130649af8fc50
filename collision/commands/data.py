"""Report on a data set: what is there, missing, damaged or there twice, and its shortcuts."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from omegaconf import DictConfig
from rich.console import Console

from collision.audit.check import check_all
from collision.audit.duplicates import DuplicatePair, crossing, near_duplicates, unrelated
from collision.audit.facts import VideoFacts, gather_facts
from collision.audit.inventory import (
    count_kinds,
    count_tags,
    count_videos,
    describe_groups,
    find_faults,
    measure,
    quantiles,
)
from collision.audit.jobs import Job, Pool, find_jobs
from collision.audit.shortcuts import audit, one_cut_a_video
from collision.commands._entry import check_number
from collision.config import build, plain
from collision.errors import (
    AnnotationError,
    CollisionError,
    ConfigError,
    DatasetNotFoundError,
)
from collision.features.digest import VideoDigests
from collision.records.splits import limited, with_validation
from collision.report.data_page import print_report, write_data_page
from collision.runs.folder import create_run_folder, provenance, write_json
from collision.sampling.anchors import anchors
from collision.sampling.examples import build_examples, dense_examples
from collision.sampling.policy import SamplingPolicy
from collision.types import SPLITS, Dataset, Example, Failure, Seconds, VideoRecord

EXAMPLE_COLUMNS = (
    "video",
    "split",
    "group",
    "label",
    "end_time",
    "horizon",
    "weight",
    "hard_negative",
    "dense",
    "anchor",
    "path",
)


@dataclass
class Material:
    """What all parts of the report work on.

    Attributes:
        records: As the data set lists them.
        jobs: By record id; a file that is not there has none.
        facts: By record id; a file that cannot be read has none.
        failures: Why.
        anchor_of: Seconds by record id: what cuts are counted from.
        no_cuts: Why there are none, in words; empty if there are.
    """

    records: list[VideoRecord]
    jobs: dict[str, Job]
    facts: dict[str, VideoFacts]
    failures: list[Failure]
    anchor_of: dict[str, Seconds] = field(default_factory=dict)
    no_cuts: str = ""

    @property
    def ends(self) -> dict[str, Seconds]:
        """Time of the last frame by record id."""
        return {video: facts.end for video, facts in self.facts.items()}


def run(config: DictConfig, paths: list[str]) -> int:
    """Look at a data set, print the report, and write it to a folder of its own."""
    console = Console()
    _check_options(config)
    policy: SamplingPolicy = build(config.sampling)
    dataset: Dataset = build(config.dataset)
    records, complaint = _list_videos(dataset, policy, config)
    material = _look(records, policy, config)
    report, measures = _report(dataset.name, material, policy, config)
    report |= {"provenance": provenance()}
    folder = create_run_folder(Path(config.runs_root), f"data_{dataset.name}")
    write_json(folder / "data.json", report)
    write_data_page(folder, report, measures, report["provenance"]["command"])
    print_report(report, console)
    console.print(f"\nReport: {folder}", markup=False, highlight=False, soft_wrap=True)
    if config.examples is not None:
        count = _write_examples(Path(config.examples).expanduser(), material, policy, config)
        console.print(f"{count} examples: {config.examples}", markup=False, highlight=False)
    if not config.skip_failures:
        _complain(report, complaint)
    return 0


def _check_options(config: DictConfig) -> None:
    check_number(config, "limit", 1, optional=True)
    check_number(config, "num_resamples", 1)
    check_number(config, "num_permutations", 19)  # fewer can show nothing
    check_number(config, "num_workers", 0, optional=True)
    check_number(config, "timeout", 0, whole=False)
    if config.check not in (None, "full"):
        raise ConfigError(f"check={config.check}: give full, or null to read no more than facts.")
    for name in ("shortcuts", "duplicates", "skip_failures"):
        if not isinstance(config[name], bool):
            raise ConfigError(f"{name}={config[name]}: give true or false.")
    if config.examples is not None:
        _check_output(Path(str(config.examples)).expanduser())


def _check_output(file: Path) -> None:
    """Refuse a file that cannot be written, before a long audit and not after it."""
    if file.is_dir():
        raise ConfigError(f"examples={file}: that is a folder; give a file's name.")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"examples={file}: {error.strerror} ({error.filename}).") from error
    if not os.access(file if file.exists() else file.parent, os.W_OK):
        raise ConfigError(f"examples={file}: it cannot be written; give another file.")


def _list_videos(
    dataset: Dataset, policy: SamplingPolicy, config: DictConfig
) -> tuple[list[VideoRecord], str]:
    """Give the records that `train` would use, and what is missing although they can be listed.

    Raises:
        AnnotationError: Lines that cannot be used; all of them are written to a file.
    """
    complaint = ""
    try:
        try:
            dataset.prepare()
        except DatasetNotFoundError as error:
            complaint = str(error)
        records = dataset.records()
    except AnnotationError as error:
        if not error.rejected:
            raise
        file = create_run_folder(Path(config.runs_root), f"data_{dataset.name}") / "rejected.csv"
        rows = [(line.file, line.line, line.reason) for line in error.rejected]
        _write_csv(file, ("file", "line", "reason"), rows)
        raise AnnotationError(f"{error}\nAll of them: {file}", error.rejected) from error
    except DatasetNotFoundError as error:
        raise CollisionError(complaint or str(error)) from error
    kept = limited(with_validation(records, config.val_fraction, policy.seed), config.limit)
    ids = {record.id for record in kept}
    return [record for record in records if record.id in ids], complaint


def _look(records: list[VideoRecord], policy: SamplingPolicy, config: DictConfig) -> Material:
    """Read the facts of every file, and find the moments that cuts are counted from."""
    cache_root = Path(config.cache_root)
    pool = Pool(config.num_workers, config.timeout)
    jobs, missing = find_jobs(records, VideoDigests(cache_root / "videos.json"), pool.progress)
    facts, unreadable = gather_facts(jobs, cache_root, pool)
    material = Material(records, jobs, facts, missing + unreadable)
    try:
        material.anchor_of = anchors(records, material.ends, policy)
    except ConfigError as error:
        material.no_cuts = f"No moment can be cut: {error}"
    return material


def _report(
    name: str, material: Material, policy: SamplingPolicy, config: DictConfig
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Give the report as plain data, and the values behind its histograms."""
    records, facts = material.records, material.facts
    measures = measure(records, facts, material.anchor_of)
    report: dict[str, Any] = {
        "dataset": name,
        "limit": config.limit,
        "sampling": plain(config.sampling),
        "counts": count_videos(records),
        "groups": describe_groups(records),
        "without_alert": sum(
            r.event_time is not None and r.alert_time is None for r in records if r.label == 1
        ),
        "failures": [
            {"video": one.video, "path": str(one.path), "reason": one.reason}
            for one in material.failures
        ],
        "faults": find_faults(records, facts, material.anchor_of, policy.horizons),
        "notes": _notes({video: fact.notes for video, fact in facts.items()}),
        "measures": {
            what: {group: quantiles(values) for group, values in by_class.items()}
            for what, by_class in measures.items()
        },
        "kinds": count_kinds(records, facts),
        "tags": count_tags(records),
    }
    if config.check == "full":
        report["check"] = _check(material, config)
    if config.duplicates:
        digests = {video: job.digest for video, job in material.jobs.items()}
        report["duplicates"] = _as_data(near_duplicates(records, facts, digests))
    if config.shortcuts:
        report |= _audit(material, policy, config)
    return report, measures


def _check(material: Material, config: DictConfig) -> dict[str, Any]:
    results, num_decoded = check_all(
        material.jobs, Path(config.cache_root), Pool(config.num_workers, config.timeout)
    )
    known = {video: set(facts.notes) for video, facts in material.facts.items()}
    return {
        "videos": len(results),
        "decoded_now": num_decoded,
        "damaged": [
            {"video": video, "path": str(material.jobs[video].path), "reason": result.reason}
            for video, result in results.items()
            if result.reason
        ],
        "notes": _notes(
            {
                video: [note for note in result.notes if note not in known.get(video, ())]
                for video, result in results.items()
            }
        ),
    }


def _notes(notes: Mapping[str, Sequence[str]]) -> list[dict[str, str]]:
    return [{"video": video, "note": note} for video, found in notes.items() for note in found]


def _as_data(pairs: Sequence[DuplicatePair]) -> dict[str, Any]:
    return {
        "crossing": len(crossing(pairs)),
        "unrelated": len(unrelated(pairs)),
        "pairs": [
            {
                "first": pair.first.id,
                "second": pair.second.id,
                "splits": [pair.first.split, pair.second.split],
                "groups": [pair.first.group, pair.second.group],
                "is_copy": pair.is_copy,
                "num_matching": pair.num_matching,
                "num_overlapping": pair.num_overlapping,
                "shift": pair.shift,
            }
            for pair in pairs
        ],
    }


def _audit(material: Material, policy: SamplingPolicy, config: DictConfig) -> dict[str, Any]:
    """Judge shortcuts on one test-like cut of every video, whatever its split."""
    if material.no_cuts:
        return {"no_cuts": material.no_cuts}
    cuts: list[Example] = []
    for record in material.records:
        as_test = replace(record, split="test")
        cuts += build_examples([as_test], material.anchor_of, policy, "test", material.ends)
    shortcuts = audit(
        one_cut_a_video(cuts),
        {record.id: record for record in material.records},
        material.facts,
        num_permutations=config.num_permutations,
        num_resamples=config.num_resamples,
        seed=policy.seed,
    )
    return {"shortcuts": shortcuts}


def _write_examples(
    file: Path, material: Material, policy: SamplingPolicy, config: DictConfig
) -> int:
    """List every moment that `train` would learn from and score; give their number."""
    if material.no_cuts:
        raise ConfigError(material.no_cuts)
    records = with_validation(material.records, config.val_fraction, policy.seed)
    by_id = {record.id: record for record in records}
    moments = material.anchor_of, material.ends
    listed = [
        (example, 0)
        for split in SPLITS
        for example in build_examples(records, moments[0], policy, split, moments[1])
    ]
    if policy.dense is not None:
        listed += [(e, 1) for e in dense_examples(records, *moments, policy, "test")]
    rows = [
        (
            example.video,
            by_id[example.video].split,
            by_id[example.video].group,
            example.label,
            round(example.end_time, 6),
            round(example.horizon, 6),
            example.weight,
            int(example.hard_negative),
            is_dense,
            round(material.anchor_of[example.video], 6),
            by_id[example.video].path,
        )
        for example, is_dense in listed
    ]
    _write_csv(file, EXAMPLE_COLUMNS, rows)
    return len(rows)


def _write_csv(file: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    try:
        # File names may hold bytes that are no UTF-8.
        with file.open("w", newline="", encoding="utf-8", errors="surrogateescape") as lines:
            writer = csv.writer(lines, lineterminator="\n")
            writer.writerow(header)
            writer.writerows(rows)
    except OSError as error:
        if file.is_file():
            file.unlink()  # half a list looks like a whole one
        raise CollisionError(f"Cannot write {str(file)!r}: {error.strerror}.") from error


def _complain(report: Mapping[str, Any], complaint: str) -> None:
    """End with an exit code other than 0 if files are missing or damaged.

    Raises:
        CollisionError: There are some.
    """
    failed = {one["video"] for one in report["failures"]}
    failed |= {one["video"] for one in report.get("check", {}).get("damaged", ())}
    if failed:
        listing = f"{complaint}\n" if complaint else ""
        raise CollisionError(
            f"{listing}{len(failed)} of the videos are missing or damaged; the report lists them. "
            "Mend or remove them; skip_failures=true reports them and exits with 0."
        )
    if complaint:
        raise CollisionError(complaint)
