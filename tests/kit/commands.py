"""Which commands of the pages are run, on small data, and why the others are composed alone."""

import shlex

from tests.commands.test_help import ALL
from tests.test_docs import EVERYWHERE, code_blocks

# With the page's own words, in the order in which they are typed into one checkout.
RUN = (
    "python -m collision",
    "python train.py head=gru seeds=3",
    "python train.py loss=exponential loss.decay=0.5",
    "python train.py loss=occurrence seeds=3",
    "python train.py sampling=within_clip seeds=3",
    "python train.py backbone=fusion 'backbone.parts=[efficientnet_lite0,optical_flow]' "
    "fusion=late",
    "python train.py logger=tensorboard seeds=3",
    "python train.py logger=wandb logger.mode=offline seeds=3",
    "python -m collision evaluate runs/latest dataset=manifest dataset.csv=examples/clips.csv",
    "python -m collision predict examples checkpoint=runs/latest",
    "python -m collision export runs/latest output=exported",
    "collision predict examples checkpoint=exported",
    "collision evaluate exported dataset=manifest dataset.csv=examples/clips.csv",
    "collision predict 'cams/**/*.mp4' checkpoint=RUN output=curves every=0.1",
    "python -m collision data dataset=synthetic",
    "python -m collision data dataset=synthetic sampling=badas examples=examples.csv",
    "python -m collision data dataset=manifest dataset.csv=clips.csv",
    "python -m collision data dataset=ccd check=full",
    "python -m collision evaluate RUN 'datasets=[ccd,dad]' dense=0.25",
    "python -m collision evaluate RUN 'datasets=[clips.csv,nexar]' dataset.columns.video=file",
    "python train.py dataset=nexar data_root=data limit=20",
    "python -m collision evaluate RUN dataset=nexar data_root=data",
    "python -m collision data dataset=nexar data_root=data",
    "python train.py dataset=manifest dataset.csv=clips.csv folds=5 head=logistic",
    "collision cache du",
    "collision cache verify",
    "collision cache prune",
    "collision cache upgrade",
    "python -m collision space offline",
    "collision space offline sample=20",
    "collision space core",
    "collision space full build=false",
    "python -m collision part check examples/new_head",
    "collision study analyse runs.csv 'factors=[backbone,head]' score=map seed=seed",
    "collision study analyse runs.csv 'factors=[backbone,head]' score=map 'across=[dataset,size]'",
    "collision doctor build=false json=true > doctor.json || exit 1",
)

# A part of a command, and why it is not run.
COMPOSED = {
    "backbone=vjepa2": "weights from a hub, or many minutes without a GPU",
    "backbone=dinov3_b": "weights from a hub",
    "dinov3_b,vjepa2": "weights from a hub",
    "backbones=[vjepa2": "weights from a hub",
    "backbone=timm_image": "weights from a hub",
    "experiment=nexar_vjepa2": "weights from a hub",
    "space=core": "weights from a hub",
    "space=offline policy=llm": "a language model",
    "policy=llm": "a language model",
    "logger=wandb seeds=3": "an account at W&B: tests/runs/test_wandb_online.py has a server",
    "random=[": "statsmodels, which is not in the development environment",
    "logger=trackio": "a package that is not in the development environment",
    "://": "a camera, or a sender on the network",
    "/dev/video0": "a camera",
    "/srv/": "folders of another machine",
    "study analyse orze_results": "results of another program",
    "study policies all.csv": "a table that the pages before it leave after hours",
    "name=tpe_0": "hours",
    "name=factorial": "hours",
    "study analyse factorial": "hours of what it reads",
    "search export tpe_0": "hours of what it reads",
    "evaluate_on=[synthetic_night]' name=plan": "minutes; the help's example is run",
    "backbone=efficientnet_lite2": "minutes; efficientnet_lite0 is run",
    "collision serve runs": "the help's examples are run",
    "part try": "minutes; that of the help is run",
    "part accept": "it writes into the tree, or asks on a terminal",
    "--config-dir": "the reader's own part: tests/test_own_package.py has one",
    "compare RUN RUN": "two names that the reader fills in; the help's example is run",
    "merge FOLDER": "a name that the reader fills in",
    "columns.event_time=crash_s": "columns that the reader's own list has",
    "trip_07.mp4": "the reader's own file; drive.mp4 of the help is run",
    "trip.mp4": "the reader's own file; drive.mp4 of the help is run",
    "heatmap=true overlay=true": "minutes; the tests of the heat map are in tests/heatmap",
    "dataset=ccd data_root": "minutes; the set is run in README's commands",
    "within=[0.5,2.0]": "minutes; each set has its own tests in tests/datasets",
    "dense=0.25": "minutes; README's is run",
    "dataset=dad": "minutes; the set is run in README's commands",
    "dataset=dada2000": "minutes; tests/datasets has its layout",
    "dataset=dota": "minutes; tests/datasets has its layout",
    "folds=5": "minutes; that with head=logistic is run",
    "data examples write=": "the help's example is run",
    "check=full examples=": "both options are run in the help's examples",
    "dataset=nexar data_root=data plan=true": "it would prepare what the commands around it run",
    "skip_failures=true &": "a script for SLURM: tests/features run it with a stand-in",
}


def typed_commands() -> dict[str, list[str]]:
    """Give the pages of each command that stands in a block of shell, without its comment."""
    found: dict[str, list[str]] = {}
    for page in EVERYWHERE:
        if "tutorial" in page:  # tests/test_tutorials.py runs them in turn
            continue
        for block in [*code_blocks(page, "sh"), *code_blocks(page, "bash")]:
            for line in block.replace("\\\n", " ").splitlines():
                words = " ".join(line.partition(" #")[0].split())
                if "collision" in shlex.split(words, comments=True) or "train.py" in words:
                    found.setdefault(words, []).append(page)
    return found


def plain(command: str) -> str:
    """Write a command as the help does."""
    return command.replace("python -m collision", "collision")


EXAMPLES = {one for _, line in ALL for one in (line, line.partition(" > ")[0])}


def why_not(command: str) -> list[str]:
    """Give the reasons for which a command is not run; none of one that is."""
    if command in RUN or plain(command) in EXAMPLES or plain(command) in map(plain, RUN):
        return []
    return [reason for part, reason in COMPOSED.items() if part in command]
