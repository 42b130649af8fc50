"""The door of the verbs: from what is typed to typed options, or to a sentence."""

import os
import signal
import subprocess
import sys
import types
from contextlib import nullcontext
from pathlib import Path

import pytest

from collision.__main__ import main
from collision.commands import _entry
from collision.commands._entry import guarded
from collision.commands._overrides import jobs_of, parse, readable
from collision.config import names_of, use_config_dirs
from collision.console import is_quiet, is_verbose
from collision.errors import ConfigError, Interrupted
from collision.learning.asked import setup_of
from collision.options import OPTIONS
from collision.serving.server import Stopped
from tests.conftest import ROOT

AWKWARD = (
    "my clips (1).csv",
    "fold=1.csv",
    "a,b.csv",
    "clips[final].csv",
    "[all].csv",
    "50% {x}.csv",
    "${x}.csv",
    "行车.csv",
    "Bob's.csv",
    'the "best".csv',
    "C&A $x.csv",
    "back\\slash.csv",
    "ends\\",
    "plain.csv",
    "a  b.csv",
    "~.csv",
    "#1.csv",
    "a:b.csv",
)


@pytest.fixture
def asked(monkeypatch, tmp_path):
    """Stand in for the verbs: gives the options and paths that they are called with."""
    calls: list[tuple] = []
    for verb in OPTIONS:
        stand_in = types.ModuleType(verb)
        stand_in.run = lambda options, paths: calls.append((options, paths)) or 0
        monkeypatch.setitem(sys.modules, f"collision.commands.{verb}", stand_in)
    monkeypatch.setattr(_entry, "check_contents", lambda options, paths: None)
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("COLLISION_")]:
        monkeypatch.delenv(name)
    yield calls
    use_config_dirs([])


@pytest.fixture
def refuse(asked, capfd):
    """Run a verb that must refuse; give its one sentence."""

    def refused(*arguments: str) -> str:
        assert main(list(arguments)) == 2
        output = capfd.readouterr()
        assert output.out == "" and not asked
        sentence = output.err.removeprefix("error: ").strip()
        assert "\n" not in sentence and "Traceback" not in sentence
        for word in ("Hydra", "struct", "config group", "full_key"):
            assert word not in sentence
        return sentence

    return refused


@pytest.mark.parametrize("name", AWKWARD)
def test_any_file_that_exists_can_be_named(name, asked, tmp_path):
    (tmp_path / name).touch()
    assert main(["train", "dataset=manifest", f"dataset.csv={name}", f"init_from={name}"]) == 0
    (options, _), *_ = asked
    assert options.dataset.options["csv"] == name and options.init_from == Path(name)
    (absolute,) = readable([f"dataset.csv={tmp_path / name}"], [])
    assert parse(absolute).value().replace("\\${", "${") == str(tmp_path / name)
    if name.endswith(".csv"):
        assert main(["extract", f"datasets=[synthetic,{name}]", "dataset.columns.video=file"]) == 0
        synthetic, manifest = asked[-1][0].datasets
        assert synthetic.name == "synthetic" and manifest.name == "manifest"
        assert manifest.options["csv"] == name
        assert manifest.options["name"] == name.removesuffix(".csv")
        assert manifest.options["columns"]["video"] == "file"


@pytest.mark.parametrize(
    "name", ["runs/run (2)", "a, b", "josé", "2024", "true", "~/x", "x=1", "ü,"]
)
def test_path_options_take_any_text(name, asked, monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    assert main(["extract", f"runs_root={name}", f"data_root={name}", f"cache_root={name}"]) == 0
    options, _ = asked[-1]
    assert options.runs_root == options.cache_root == Path(name).expanduser()
    assert options.datasets[0].options["root"] == f"{name}/synthetic"


def test_what_users_quoted_themselves_is_left():
    for text in (
        "a='x y'",
        'a="x, y"',
        "a=[x,'y z']",
        "b={b: 1}",
        "a=${b}/c",
        "~a",
        "a=null",
        "a=",
    ):
        assert readable([text], ["a"]) == [text]
    assert parse(readable(["a=[Straße,(b)]"], [])[0]).value() == ["Straße", "(b)"]


HEADS = ", ".join(names_of("head"))
WITHOUT_LIMIT = (
    *("cache", "compare", "completion", "data", "doctor", "export", "part", "report", "search"),
    *("serve", "space", "study"),
)
WITH_HEADS = ("part", "search", "train")
TYPOS = {
    ("train", "heat=gru"): "There is no option 'heat'. Did you mean head?",
    ("train", "+heat=gru"): "There is no option 'heat'. Did you mean head?",
    ("train", "++heat=gru"): "There is no option 'heat'. Did you mean head?",
    (
        "train",
        "head=grue",
    ): f"No head is called 'grue'. Did you mean gru? There are: {HEADS}",
    ("train", "dataset=nexr"): "No dataset is called 'nexr'. Did you mean nexar?",
    ("train", "experiment=nope"): "No experiment is called 'nope'. There are: nexar_vjepa2",
    ("train", "head.hiden=3"): "There is no option 'head.hiden'.",
    ("train", "head=gru", "head.dims=3"): "Did you mean head.dim?",
    ("train", "root=x"): "There is no option 'root'. Did you mean dataset.root?",
    ("train", "batch_size=3"): "Did you mean extraction.batch_size or trainer.batch_size?",
    ("train", "trainer.steps=3"): "Did you mean trainer.max_steps?",
    ("train", "+trainer.max_epochs=3"): "Did you mean trainer.max_steps?",
    ("train", "head.dim.x=3"): "There is no option 'head.dim.x'.",
    (
        "train",
        "optimizer.warmup=0.2",
    ): "no option 'optimizer.warmup'. Did you mean scheduler.warmup?",
    ("train", "+optimizer.warmup=0.2"): "=0.2: how the learning rate changes is a part of its own. "
    "Give scheduler.warmup instead.",
    (
        "train",
        "+optimizer.final_fraction=0.2",
        "scheduler=constant",
    ): "Give scheduler=cosine instead.",
    ("train", "head=null"): f"head must be given: head=NAME. There are: {HEADS}",
    ("train", "~head"): f"head must be given: head=NAME. There are: {HEADS}",
    ("train", "head=gru,linear"): "a list, head=[a,b], or a sweep, with -m.",
    ("train", "head.dropout=0.1,0.2"): "a list, head.dropout=[a,b], or a sweep, with -m.",
    ("train", "head=[gru,linear]"): "give one name",
    ("train", "seeds=abc"): "seeds=abc: give a whole number.",
    ("train", "dataset=manifest"): "dataset.csv must be given: dataset.csv=clips.csv.",
    ("train", "dataset.columns={a"): "cannot be read",
    ("train", "dataset.root=${nope}"): "'nope'",
    ("train", "dataset@x=nexar"): "dataset@x",
    ("train", "--head", "gru"): "There is no flag '--head'. See: collision train --help",
    ("train", "--cfg", "jobs"): "--cfg",
    ("train", "--config-dir", "nowhere"): "there is no such folder",
    ("train", "--config-name", "nope"): "nope",
    ("train", "clip.mp4"): "train takes only key=value options, not 'clip.mp4'.",
    ("train", "init_from=nowhere"): "No trained predictor in 'nowhere'",
    ("train", "-m", "seeds=0,1"): "seeds=0: give 1 or more.",
    ("predict", "a.mp4"): "checkpoint must be given: checkpoint=runs/latest.",
    ("predict", "a.mp4", "chekpoint=x"): "Did you mean checkpoint?",
    ("predict", "a.mp4", "checkpoint=nowhere"): "No trained predictor in 'nowhere'",
    ("predict", "a.mp4", "checkpoint=."): "Cannot read 'a.mp4': there is no such file",
    ("predict", "a.mp4", "b.mp4", "checkpoint=."): "None of the clips is there: a.mp4, b.mp4.",
    ("predict",): "predict needs one or more files, folders or addresses, or one stream.",
    ("evaluate", "nowhere"): "No trained predictor in 'nowhere'",
    ("evaluate", ".", "head=gru"): "evaluate takes head from the run",
    ("evaluate", ".", "scheduler.warmup=0"): "evaluate takes scheduler from the run",
    ("evaluate", ".", "+sampling=badas"): "evaluate takes sampling from the run, not '+sampling",
    (
        "evaluate",
        ".",
        "sampling.flip=true",
    ): "evaluate takes sampling from the run, not 'sampling.f",
    ("evaluate", ".", "extraction.precision=32-true"): "the run's features have settled it",
    ("evaluate", ".", "datasets=abc"): "datasets=abc: give a list, such as [a,b].",
    ("evaluate", "a", "b"): "not 2: a, b",
    (
        "extract",
        "datasets=[synthetik]",
    ): "No dataset is called 'synthetik'. Did you mean synthetic?",
    ("extract", "datasets=[synthetic,no.csv]"): "datasets=[no.csv]: there is no such file.",
    ("extract", "datasets=[nexar,nexar]"): "nexar is there twice",
    ("extract", "devices=0"): "devices=0: give 1 or more or -1 or auto.",
    (
        "extract",
        "shard=9/8",
    ): "shard=9/8: give which part of how many, from shard=1/8 to shard=8/8.",
    ("extract", "engine=dask"): "engine=dask: give local or ray.",
    ("extract", "shard=3"): "shard=3: give which part of how many, from shard=1/8 to shard=8/8.",
    ("data", "head=gru"): "There is no option 'head'.",
    ("data", "folder"): "There is no folder 'folder'.",
    ("data", ".", "examples=a.csv"): "have no labels, so no moment can be cut",
    ("data", "write=a.csv"): "collision data FOLDER write=FILE",
    ("data", "folder", "write=a.csv"): "There is no folder 'folder'.",
    ("data", "examples=."): "examples=.: that is a folder",
    ("cache",): "cache needs an action: ls, du, verify, prune, merge, pack or upgrade.",
    ("compare", "a"): "compare needs two or more run folders",
    ("compare", "a", "b", "num_resample=3"): "Did you mean num_resamples?",
    ("study", "analyse", "factors=[head]"): "study needs an action, analyse or policies, and a CSV",
    ("study", "analyze", "a.csv", "score=map", "factors=[a]"): "study has no action 'analyze'",
    ("study", "analyse", "a.csv", "score=map", "factors=[a]"): "There is no file 'a.csv'",
}


@pytest.mark.parametrize("arguments", TYPOS, ids=" ".join)
def test_a_mistake_is_a_sentence(arguments, refuse):
    assert TYPOS[arguments] in refuse(*arguments)


def test_a_plus_before_what_exists_is_no_mistake(asked):
    assert main(["train", "+seed=3", "+head=gru", "+experiment=null", "++seeds=2"]) == 0
    options, _ = asked[-1]
    assert options.seed == 3 and options.head.name == "gru" and options.seeds == 2


def test_deletions_are_let_through(asked):
    assert main(["train", "~logger", "~experiment"]) == 0
    assert asked[-1][0].logger is None


def test_names_come_from_the_command_line(asked):
    assert main(["train", "experiment=nexar_vjepa2_zipformer", "head=gru", "loss=focal"]) == 0
    options, _ = asked[-1]
    assert (options.backbone.name, options.head.name, options.loss.name) == (
        "vjepa2",
        "gru",
        "focal",
    )
    assert options.loss.options["pos_weight"] == 2.8 and options.parts["pooling"] == "attention"
    assert options.trainer.validations == 60 and options.logger is None


def test_mixup_and_a_loss_that_compares_cuts_exclude_each_other(asked):
    refused = pytest.raises(ConfigError, match=r"^mixup=0.2: loss=next_step")
    for loss, expected in (("next_step", refused), ("bce", nullcontext())):
        assert main(["train", "mixup=0.2", f"loss={loss}"]) == 0
        options, _ = asked[-1]
        with expected:
            assert setup_of(options, options.sampling.build()).mixup == 0.2


def test_listed_parts_keep_what_is_overridden(asked, refuse):
    both = "backbones=[vjepa2,dinov3_b]"
    for named in (["backbone=vjepa2"], []):
        assert main(["extract", both, *named, "backbone.size=tiny"]) == 0
        vjepa2, dinov3 = asked.pop()[0].backbones
        assert vjepa2.options["size"] == "tiny" and dinov3.name == "dinov3_b"
    assert main(["extract", both, "backbone=dinov3_b", "backbone.seed=1"]) == 0
    assert [part.options["seed"] for part in asked.pop()[0].backbones] == [0, 1]
    assert "vjepa2 and dinov3_b have this option" in refuse("extract", both, "backbone.seed=1")
    assert "none of backbones" in refuse("extract", both, "backbone.rows=1")
    assert "it is not in backbones" in refuse("extract", both, "backbone=timm_image")


def test_lists_of_own_videos(asked, tmp_path, refuse):
    for name in ("a.csv", "v2/a.csv", "b.csv", "nexar.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    arguments = ["evaluate", ".", "datasets=[b.csv, nexar]", "dataset.columns.video=file"]
    assert main(arguments) == 0
    own, nexar = asked.pop()[0].datasets
    assert own.options["name"] == "b" and own.options["columns"]["video"] == "file"
    assert nexar.target.endswith("Nexar")
    assert main(["evaluate", ".", "datasets=[a.csv,v2/a.csv,b.csv,nexar,nexar.csv]"]) == 0
    names = [part.options["name"] for part in asked.pop()[0].datasets]
    assert len(set(names)) == 5 and names[1:4] == ["v2_a", "b", "nexar"]
    assert main(["evaluate", ".", "datasets=[manifest]", "dataset.csv=a.csv"]) == 0
    assert asked.pop()[0].datasets[0].options["csv"] == "a.csv"
    assert main(["train", "dataset=a.csv", "dataset.name=mine"]) == 0
    assert asked.pop()[0].dataset.options["name"] == "mine"
    assert main(["evaluate", "."]) == 0 and asked.pop()[0].datasets == ()
    assert "dataset.csv must be given" in refuse("evaluate", ".", "datasets=[manifest,nexar]")


def test_compare_takes_any_name_of_a_data_set(asked, tmp_path):
    assert main(["compare", "a", "b", "dataset=my own (1)"]) == 0
    assert asked[-1][0].dataset == "my own (1)"


def test_a_sweep_runs_every_combination_and_gives_the_worst_code(asked, monkeypatch, capfd):
    answers = iter([0, 2, 0, 0])
    run = sys.modules["collision.commands.train"].run
    monkeypatch.setattr(
        sys.modules["collision.commands.train"], "run", lambda *a: run(*a) or next(answers)
    )
    assert main(["train", "-m", "head=gru,linear", "seed=range(1,3)"]) == 2
    assert [(options.head.name, options.seed) for options, _ in asked] == [
        ("gru", 1),
        ("gru", 2),
        ("linear", 1),
        ("linear", 2),
    ]
    assert "Job 3 of 4: head=linear seed=1" in capfd.readouterr().out
    assert jobs_of(["a=1", "b='x,y'"]) == [["a=1", "b='x,y'"]]


def test_a_sweep_over_every_part(asked):
    assert main(["train", "-m", "pooling=glob(m*)"]) == 0
    assert [options.pooling.name for options, _ in asked] == ["max", "mean"]


def test_own_yaml_files_are_found_by_every_verb(asked, tmp_path, refuse):
    own = tmp_path / "my configs"
    for group, text in {
        "head": "_target_: mine.Head\nwidth: 3\n",
        "dataset": "_target_: mine.Videos\nroot: ${data_root}/mine\n",
        "backbone": "_target_: mine.Backbone\nsize: ???  # such as backbone.size=7\n",
    }.items():
        (own / group).mkdir(parents=True)
        (own / group / "mine.yaml").write_text(text)
    flags = ["--config-dir", str(own)]
    assert main(["train", *flags, "head=mine", "head.width=4", "dataset=mine"]) == 0
    options, _ = asked.pop()
    assert options.head.target == "mine.Head" and options.head.options == {"width": 4}
    assert options.dataset.options == {"root": "data/mine"}
    listed = ["datasets=[mine,nexar]", "backbones=[mine,vjepa2]", "backbone.size=7"]
    assert main(["extract", *flags, *listed, "backbone=mine"]) == 0
    options, _ = asked.pop()
    assert [part.name for part in options.datasets] == ["mine", "nexar"]
    assert options.backbones[0].options == {"size": 7}
    assert main(["evaluate", ".", *flags, "datasets=[mine]"]) == 0 and asked.pop()
    assert main(["data", *flags, "dataset=mine"]) == 0 and asked.pop()
    assert "Did you mean mine?" in refuse("train", *flags, "head=min")
    assert "backbone.size=7" in refuse("train", *flags, "backbone=mine")
    assert "No head is called 'mine'" in refuse("train", "head=mine")


def test_a_recipe_of_ones_own(asked, tmp_path):
    (tmp_path / "mine.yaml").write_text("defaults: [train, _self_]\nseeds: 7\n")
    assert main(["train", "--config-dir", str(tmp_path), "--config-name", "mine"]) == 0
    assert asked[-1][0].seeds == 7


def test_the_configuration_is_printed_without_running(asked, capfd):
    assert main(["train", "--cfg", "job", "head=gru"]) == 0 and not asked
    output = capfd.readouterr().out
    assert "_target_: collision.temporal.gru.GRU" in output and "hydra" not in output
    assert "${data_root}" in output
    assert main(["train", "--cfg", "job", "--resolve"]) == 0
    assert "data/synthetic" in capfd.readouterr().out


@pytest.mark.parametrize("verb", OPTIONS)
def test_help_shows_examples_and_the_parts_of_the_verb(verb, asked, capfd):
    assert main([verb, "--help"]) == 0
    output = capfd.readouterr().out
    assert "$" not in output.partition("Defaults")[0]
    examples = output.partition("Examples")[2].partition("Parts")[0].partition("Options")[0]
    assert len([line for line in examples.splitlines() if line.startswith("  ")]) >= 2
    assert "limit=N" in output or verb in WITHOUT_LIMIT
    assert (f" head: {HEADS} " in " ".join(output.split())) == (verb in WITH_HEADS)


def test_environment_variables_are_the_folders(asked, monkeypatch):
    monkeypatch.setenv("COLLISION_CACHE", "~/somewhere")
    monkeypatch.setenv("HOME", "/home/me")
    assert main(["extract"]) == 0
    assert asked[-1][0].cache_root == Path("/home/me/somewhere")


def stop(*arguments):
    raise KeyboardInterrupt(*arguments)


def test_an_interrupt_says_how_to_go_on(capfd):
    assert guarded(stop) == 128 + signal.SIGINT
    assert guarded(lambda: stop("Go on with: collision train resume=runs/x")) == 130
    assert "kept. Go on with: collision train resume=runs/x" in capfd.readouterr().err

    def interrupted():
        raise Interrupted(signal.SIGTERM, "Go on with resume=runs/x.")

    assert guarded(interrupted) == 143
    assert "Go on with resume=runs/x." in capfd.readouterr().err

    def page_ended():  # as Ctrl-C ends `serve`
        raise Stopped(signal.SIGINT)

    assert guarded(page_ended) == 130
    assert capfd.readouterr().err.startswith("The page has ended")  # which is no error


def test_a_full_disk_is_a_sentence_and_a_bug_is_not(capfd):
    def full():
        raise OSError(28, "No space left on device", "x.csv")

    assert guarded(full) == ConfigError.exit_code
    assert "No space left on device (x.csv)" in capfd.readouterr().err
    with pytest.raises(ZeroDivisionError):
        guarded(lambda: 1 // 0)


WITHOUT_TORCH = {
    ("predict", "nothere.mp4", "checkpoint=."): "Cannot read 'nothere.mp4'",
    ("predict", "a.mp4"): "checkpoint must be given",
    ("evaluate", "nothere"): "No trained predictor in 'nothere'",
    ("train", "seeds=0"): "seeds=0: give 1 or more.",
    ("train", "dataset=nexr"): "Did you mean nexar?",
    ("train", "resume=nothere"): "There is no folder",
    ("extract", "backbones=[vjepa2,nope]"): "No backbone is called 'nope'",
}


def test_answered_before_torch_is_loaded(tmp_path):
    """All in one process: none of them may load it."""
    for name in ("torch", "lightning", "transformers", "timm"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('imported: ' + __name__)")
    code = f"from collision.__main__ import main\nfor x in {list(WITHOUT_TORCH)}: print(main(x))"
    result = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"},
        capture_output=True,
        text=True,
    )
    assert result.stdout.split() == ["2"] * len(WITHOUT_TORCH), result.stderr
    for line, words in zip(result.stderr.splitlines(), WITHOUT_TORCH.values(), strict=True):
        assert line.startswith("error: ") and words in line


def test_without_a_verb_they_are_listed(capfd):
    assert main([]) == 0
    assert set(OPTIONS) <= set(capfd.readouterr().out.split())
    assert main(["trian"]) == 2
    assert "no verb 'trian'. Did you mean train?" in capfd.readouterr().err


def test_a_package_that_is_not_installed_is_a_sentence(monkeypatch, capfd):
    monkeypatch.delitem(sys.modules, "collision.commands.space", raising=False)
    monkeypatch.setitem(sys.modules, "rich.markup", None)  # stands for any package that it loads
    assert main(["space", "offline"]) == 2
    said = capfd.readouterr().err
    assert "space needs the package rich" in said and "collision doctor" in said


@pytest.mark.parametrize(
    ("flag", "talk"), [("-q", is_quiet), ("--quiet", is_quiet), ("-v", is_verbose)]
)
def test_quiet_and_verbose_may_stand_before_the_verb(flag, talk, asked, monkeypatch):
    said = []
    monkeypatch.setattr(_entry, "check_contents", lambda *_: said.append(talk()))
    assert main([flag, "train"]) == 0 and main(["train", flag]) == 0 and main(["train"]) == 0
    assert said == [True, True, False] and len(asked) == 3


def test_other_flags_before_the_verb_are_answered_with_the_command(capfd):
    assert main(["-q", "-m", "train", "head=gru,tcn", "root=a b"]) == 2
    said = capfd.readouterr().err
    assert "Type: collision -q train -m head=gru,tcn 'root=a b'" in said
    assert main(["--strange"]) == 2
    assert "Type: collision VERB --strange" in capfd.readouterr().err


def test_a_path_with_a_comma_is_one_path(asked):
    """That it is not there is said by what reads it; under -m commas part values."""
    arguments = ["train", "dataset=manifest", "dataset.csv=a, b.csv"]
    assert main(arguments) == 0 and asked[-1][0].dataset.options["csv"] == "a, b.csv"
    assert main(["train", "-m", *arguments[1:]]) == 0
    assert [one.dataset.options["csv"] for one, _ in asked[1:]] == ["a", "b.csv"]
