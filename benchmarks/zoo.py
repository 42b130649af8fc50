"""What `read_frames` makes of each kind of file of the zoo: `python -m benchmarks.zoo`.

Two tables in Markdown: for the kinds of each codec and container, the readers that are trusted with
them and the verdict; and what FFmpeg itself says of the damaged ones when it decodes them from
start to end. Takes half a minute.
"""

from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

from collision.errors import VideoDecodeError
from collision.video.index import index_video
from tests.kit.zoo import FAMILIES, KINDS, Kind
from tests.kit.zoo_check import Zoo, changed_numbers, check_kind


def main() -> None:
    """Write the files, read them, print the tables."""
    with TemporaryDirectory() as folder:
        zoo = Zoo(Path(folder))
        verdicts = {name: verdict(kind, zoo) for name, kind in KINDS.items()}
        counts = Counter(words.partition(":")[0] for words in verdicts.values())
        print(", ".join(f"{count} {word}" for word, count in counts.most_common()) + "\n")
        print_row("family", "codec", "container", "kinds", "readers", "verdict")
        print_row(*["---"] * 6)
        for family, kinds in FAMILIES.items():
            for row in rows(family, kinds, zoo, verdicts):
                print_row(*row)
        print()
        print_row("damaged", "changed", "flagged", "packets refused", "FFmpeg gives of 60")
        print_row(*["---"] * 5)
        for kind in FAMILIES["damage"]:
            given = zoo.decoded(kind)
            changed, flagged = len(changed_numbers(kind, zoo)), sum(given.is_flagged)
            print_row(kind.name, changed, flagged, given.num_refused, len(given.pictures))


def verdict(kind: Kind, zoo: Zoo) -> str:
    try:
        check_kind(kind, zoo)
    except (AssertionError, VideoDecodeError) as error:
        return f"WRONG: {first_line(error)}"
    try:
        index_video(zoo.path(kind))
    except VideoDecodeError as error:
        sentence = str(error).partition("': ")[2]
        return f"refused: {' '.join(sentence.split()[:8])}"
    if kind.damage:
        return f"not to be told: {kind.cannot_tell}" if kind.cannot_tell else "damaged, told"
    return "right"


def rows(
    family: str, kinds: list[Kind], zoo: Zoo, verdicts: dict[str, str]
) -> list[tuple[str, ...]]:
    """Give a row for all kinds of a family that are read alike."""
    names: dict[tuple[str, ...], list[str]] = {}
    for kind in kinds:
        how = kind.codec, kind.container, trusted_readers(kind, zoo), verdicts[kind.name]
        names.setdefault(how, []).append(what(kind))
    containers: dict[tuple[str, ...], list[str]] = {}
    for (codec, container, reader, judged), found in names.items():
        kept = codec, ", ".join(dict.fromkeys(found)), reader, judged
        containers.setdefault(kept, []).append(container)
    return [(family, key[0], ", ".join(of), *key[1:]) for key, of in containers.items()]


def what(kind: Kind) -> str:
    """Say what is special about a kind, besides codec and container."""
    clock = "" if kind.clock == "zero" else kind.clock
    turn = f"turn {kind.turn}" if kind.turn else ""
    return " ".join(filter(None, (kind.gop, clock, turn, kind.damage, kind.extra)))


def first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0].partition("': ")[2] or lines[0]


def trusted_readers(kind: Kind, zoo: Zoo) -> str:
    try:
        index = index_video(zoo.path(kind))
    except VideoDecodeError:
        return "none"
    return "PyAV" if index.not_by_decord else "PyAV, decord"


def print_row(*cells: object) -> None:
    print("|", " | ".join(map(str, cells)), "|", flush=True)


if __name__ == "__main__":
    main()
