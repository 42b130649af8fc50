"""Report on a data set: what is there, missing, damaged or there twice, and its shortcuts."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from collision.audit.check import check_all
from collision.audit.duplicates import crossing, near_duplicates, unrelated
from collision.audit.facts import VideoFacts, gather_facts
from collision.audit.inventory import (
    CLASSES,
    count_kinds,
    count_tags,
    count_videos,
    describe_groups,
    find_faults,
    measure,
    quantiles,
)
from collision.audit.jobs import Job, Pool, find_jobs
from collision.audit.missing import UNREADABLE, count_missing, guess_units, why_unseen
from collision.audit.shortcuts import audit, one_cut_a_video
from collision.checks import user_path
from collision.console import progress_console, say_result, wide_console
from collision.errors import AnnotationError, CollisionError, ConfigError, DatasetNotFoundError
from collision.features.digest import VideoDigests
from collision.files import write_json, write_whole
from collision.options import DataOptions
from collision.records.check import records_of
from collision.records.listing import COLUMNS, list_videos, unlabelled_records
from collision.records.splits import limited, with_validation
from collision.report.data_page import print_report, write_data_page
from collision.runs.folder import create_run_folder
from collision.runs.provenance import provenance
from collision.sampling.examples import build_examples
from collision.sampling.index import DENSE, DataIndex, Selection, index_records
from collision.sampling.policy import SamplingPolicy
from collision.types import Dataset, Example, Failure, Seconds, VideoRecord


@dataclass
class DatasetFacts:
    """What all parts of the report work on; the records are in the data set's own splits."""

    name: str
    records: list[VideoRecord]
    policy: SamplingPolicy
    jobs: dict[str, Job]  # by record id; a file that is not there has none
    facts: dict[str, VideoFacts]  # by record id; a file that cannot be read has none
    failures: list[Failure]  # why
    index: DataIndex | None = None  # what `train` would learn from and score
    no_cuts: str = ""  # why there is no index

    @property
    def anchors(self) -> dict[str, Seconds]:
        """What cuts are counted from, by record id."""
        return {} if self.index is None else self.index.anchors

    def durations(self, records: Iterable[VideoRecord]) -> tuple[dict[str, Seconds], list[Failure]]:
        """Give the time of the last frame by id; why others have none is in ``failures``."""
        return {r.id: self.facts[r.id].end for r in records if r.id in self.facts}, []


def run(options: DataOptions, paths: list[str]) -> int:
    """Look at a data set, print the report, and write it to a folder of its own."""
    console = progress_console()
    if options.write is not None:  # then there is a folder: see ``collision.commands._early``
        return write_list(options.write, user_path(paths[0]), wide_console())
    policy: SamplingPolicy = options.sampling.build()
    if paths:  # without labels nothing can give them away
        videos, options = user_path(paths[0]), replace(options, shortcuts=False)
        name, listed, complaint = videos.absolute().name, unlabelled_records(videos), ""
    else:
        dataset: Dataset = options.dataset.build()
        name, (listed, complaint) = dataset.name, list_records(dataset, options)
    dataset_facts = gather(name, listed, policy, options)
    if paths:  # nor is there a moment to cut
        dataset_facts.index = None
    report, measures = make_report(dataset_facts, options)
    folder = create_run_folder(options.runs_root, f"data_{name}")
    write_json(folder / "data.json", report)
    write_data_page(folder, report, measures, report["provenance"]["command"])
    print_report(report, console)
    say_result(f"\nReport: {folder}")
    if options.examples is not None:
        count = write_examples(options.examples, dataset_facts)
        console.print(f"{count} examples: {options.examples}", markup=False, highlight=False)
    if not options.skip_failures:
        _complain(report, complaint)
    return 0


def write_list(file: Path, folder: Path, console: Console) -> int:
    """List the videos of a folder in a new CSV file, and say what to do with it."""
    listed = list_videos(folder, file)
    _write_csv(file, COLUMNS, listed.rows)
    say = [f"{len(listed.rows)} videos: {file}"]
    if groups := listed.groups:
        most = [f"{name} ({count})" for name, count in groups.most_common(5)]
        most += [f"{len(groups) - 5} more"] if len(groups) > 5 else []
        said = "clips of one drive or event belong together, others do not"
        say += [f"Groups from folders: {', '.join(most)}; check them: {said}."]
    if listed.num_unlabelled:
        say += [f"Fill in the label of {listed.num_unlabelled}: 1 for a collision, or nearly one."]
    if listed.num_untimed or listed.num_unlabelled:
        untimed = f" of {listed.num_untimed} positives" if listed.num_untimed else " of positives"
        say += [f"Fill in event_time{untimed}: seconds from the start of the file."]
    root = "" if listed.root == file.absolute().parent else f" dataset.root={listed.root}"
    say += [f"Then: collision data dataset=manifest dataset.csv={file}{root}"]
    console.print("\n".join(say), markup=False, highlight=False, soft_wrap=True)
    return 0


def list_records(dataset: Dataset, options: DataOptions) -> tuple[list[VideoRecord], str]:
    """Give a data set's records, and what is missing although they can be listed.

    AnnotationError: lines that cannot be used; all of them are written to a file.
    """
    complaint = ""
    try:
        try:
            dataset.prepare()
        except DatasetNotFoundError as error:
            complaint = str(error)
        return records_of(dataset), complaint
    except AnnotationError as error:
        if not error.rejected:
            raise
        file = create_run_folder(options.runs_root, f"data_{dataset.name}") / "rejected.csv"
        _write_csv(file, ("file", "line", "reason"), map(asdict, error.rejected))
        raise AnnotationError(f"{error}\nAll of them: {file}", error.rejected) from error
    except DatasetNotFoundError as error:
        raise CollisionError(complaint or str(error)) from error


def gather(
    name: str, listed: list[VideoRecord], policy: SamplingPolicy, options: DataOptions
) -> DatasetFacts:
    """Read the facts of every file, and index the moments that `train` would use."""
    chosen = limited(with_validation(listed, options.val_fraction, policy.seed), options.limit)
    ids = {record.id for record in chosen}
    records = [record for record in listed if record.id in ids]
    pool = Pool(options.num_workers, options.timeout)
    digests = VideoDigests(options.cache_root / "videos.json")
    jobs, missing = find_jobs(records, digests, pool.progress)
    facts, unreadable = gather_facts(jobs, options.cache_root, pool)
    found = DatasetFacts(name, records, policy, jobs, facts, missing + unreadable)
    try:
        found.index = index_records(name, chosen, policy, Selection(), found.durations)
    except ConfigError as error:
        found.no_cuts = f"No moment can be cut: {error}"
    return found


def make_report(found: DatasetFacts, options: DataOptions) -> tuple[dict[str, Any], dict[str, Any]]:
    """Give the report as plain data, and the values behind its histograms."""
    records, facts = found.records, found.facts
    measures = measure(records, facts, found.anchors)
    label_of = {record.id: CLASSES[record.label] for record in records}
    report: dict[str, Any] = {
        "dataset": found.name,
        "limit": options.limit,
        "sampling": options.sampling.as_saved(),
        "counts": count_videos(records),
        "groups": describe_groups(records),
        "without_alert": sum(
            r.event_time is not None and r.alert_time is None for r in records if r.label == 1
        ),
        "failures": [{**asdict(one), "path": str(one.path)} for one in found.failures],
        "failures_by_class": dict(Counter(label_of[one.video] for one in found.failures)),
        "faults": find_faults(records, facts, found.anchors, found.policy.horizons),
        **count_wanted(found),
        "notes": _notes({video: fact.notes for video, fact in facts.items()}),
        "measures": {
            what: {group: quantiles(values) for group, values in by_class.items()}
            for what, by_class in measures.items()
        },
        "kinds": count_kinds(records, facts),
        "tags": count_tags(records),
        "provenance": provenance(),
    }
    if options.check == "full":
        report["check"] = _check(found, options)
    if options.duplicates:
        report["duplicates"] = _duplicates(found)
    if options.shortcuts and found.no_cuts:
        report["no_cuts"] = found.no_cuts
    elif options.shortcuts:
        report["shortcuts"] = _shortcuts(found, options)
    return report, measures


def count_wanted(found: DatasetFacts) -> dict[str, Any]:
    """Count the cuts at which nothing can be seen, whatever the backbone; guess odd units."""
    files = {record.id: found.facts.get(record.id) for record in found.records}

    def why(example: Example) -> str:
        file = files[example.video]
        if file is None:
            return UNREADABLE
        return why_unseen(file, example.end_time, np.array([example.end_time]), 1, 1.0)

    wanted = {} if found.index is None else found.index.wanted
    missing = count_missing(wanted, why, found.policy)
    return {"missing": missing.as_json(), "units": guess_units(found.records, files)}


def _check(found: DatasetFacts, options: DataOptions) -> dict[str, Any]:
    pool = Pool(options.num_workers, options.timeout)
    results, num_decoded = check_all(found.jobs, options.cache_root, pool)
    known = {video: set(facts.notes) for video, facts in found.facts.items()}
    new = {
        video: [note for note in result.notes if note not in known.get(video, ())]
        for video, result in results.items()
    }
    return {
        "videos": len(results),
        "decoded_now": num_decoded,
        "damaged": [
            {"video": video, "path": str(found.jobs[video].path), "reason": result.reason}
            for video, result in results.items()
            if result.reason
        ],
        "notes": _notes(new),
    }


def _notes(notes: Mapping[str, Sequence[str]]) -> list[dict[str, str]]:
    return [{"video": video, "note": note} for video, said in notes.items() for note in said]


def _duplicates(found: DatasetFacts) -> dict[str, Any]:
    digests = {video: job.digest for video, job in found.jobs.items()}
    pairs = near_duplicates(found.records, found.facts, digests)
    names = ("is_copy", "num_matching", "num_overlapping", "shift")
    return {
        "crossing": len(crossing(pairs)),
        "unrelated": len(unrelated(pairs)),
        "pairs": [
            {
                "first": pair.first.id,
                "second": pair.second.id,
                "splits": [pair.first.split, pair.second.split],
                "groups": [pair.first.group, pair.second.group],
                **{name: getattr(pair, name) for name in names},
            }
            for pair in pairs
        ],
    }


def _shortcuts(found: DatasetFacts, options: DataOptions) -> dict[str, Any]:
    """Judge shortcuts on one test-like cut of every video, whatever its split."""
    as_test = [replace(record, split="test") for record in found.records]
    ends, _ = found.durations(found.records)
    return audit(
        one_cut_a_video(build_examples(as_test, found.anchors, found.policy, "test", ends)),
        {record.id: record for record in found.records},
        found.facts,
        num_permutations=options.num_permutations,
        num_resamples=options.num_resamples,
        seed=found.policy.seed,
    )


def write_examples(file: Path, found: DatasetFacts) -> int:
    """List every moment that `train` would learn from and score; give their number."""
    if found.index is None:
        raise ConfigError(found.no_cuts)
    index, rows = found.index, []
    for split, members in index.examples.items():
        for example in members:
            record = index.records[example.video]
            row = {
                "video": example.video,
                "split": record.split,
                "group": record.group,
                "label": example.label,
                "end_time": round(example.end_time, 6),
                "horizon": round(example.horizon, 6),
                "weight": example.weight,
                "hard_negative": int(example.hard_negative),
                "dense": int(split == DENSE),
                "anchor": round(index.anchors[example.video], 6),
                "path": record.path,
            }
            rows.append(row)
    _write_csv(file, list(rows[0]) if rows else [], rows)
    return len(rows)


def _write_csv(file: Path, columns: Sequence[str], rows: Iterable[Mapping[str, object]]) -> None:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_whole(file, text.getvalue())
    except OSError as error:
        raise CollisionError(f"Cannot write {str(file)!r}: {error.strerror}.") from error


def _complain(report: Mapping[str, Any], complaint: str) -> None:
    failed = {one["video"] for one in report["failures"]}
    failed |= {one["video"] for one in report.get("check", {}).get("damaged", ())}
    if failed:
        are = "is" if len(failed) == 1 else "are"
        damage = (
            f"{len(failed)} of the videos {are} missing or damaged; the report lists them. "
            "Mend or remove them; skip_failures=true reports them and exits with 0."
        )
        complaint = f"{complaint}\n{damage}".lstrip()
    if complaint:
        raise CollisionError(complaint)
