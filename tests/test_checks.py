"""What comes in is checked once, against annotations, and answered in sentences."""

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, NotRequired, TypedDict, Unpack

import pytest
from pydantic import Field

from collision.checks import (
    STRICT,
    UserPath,
    arguments_of,
    call_typed,
    typed,
    unknown_option,
    user_path,
)
from collision.errors import CheckpointError, ConfigError


@dataclass(frozen=True)
class Inner:
    __pydantic_config__ = STRICT

    size: int = 1


class Made:
    def __init__(
        self,
        given: int,
        share: Annotated[float, Field(ge=0, le=1)],
        inner: Inner = Inner(),
        mode: Literal["a", "b"] | None = None,
    ):
        self.all = (given, share, inner, mode)


@pytest.mark.parametrize(
    ("kind", "value", "sentence"),
    [
        (int, 1.5, "x=1.5: give a whole number."),
        (int, "1", "x=1: give a whole number."),
        (int, True, "x=true: give a whole number."),
        (float | None, "a", "x=a: give a number."),
        (int | Literal["auto"], "al", "x=al: give a whole number or auto."),
        (bool, 1, "x=1: give true or false."),
        (tuple[str, ...], "ab", "x=ab: give a list, such as [a,b]."),
        (tuple[float, float], [1], "x=[1]: give at least 2 values."),
        (tuple[float, float], [1, 2, 3], "x=[1, 2, 3]: give at most 2 values."),
        (tuple[float, float], [1, "b"], "x.1=b: give a number."),
        (dict[str, int], 3, "x=3: give a mapping, such as {a: 1}."),
        (UserPath, "", "x=: give a path."),
        (Inner, {"siz": 2}, "There is no option 'x.siz'. Did you mean x.size?"),
        (Inner, {"size": "2"}, "x.size=2: give a whole number."),
    ],
)
def test_a_wrong_value_is_a_sentence(kind: Any, value: Any, sentence: str):
    with pytest.raises(ConfigError) as error:
        typed(kind, value, where="x")
    assert str(error.value) == sentence
    with pytest.raises(CheckpointError):
        typed(kind, value, where="x", error=CheckpointError)


def test_plain_data_become_what_is_annotated(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    assert typed(tuple[float, ...], [1, 2]) == (1.0, 2.0)
    assert typed(UserPath, "~/x") == Path("/home/me/x") and typed(UserPath, 2024) == Path("2024")
    assert user_path("~.csv") == Path("~.csv")  # nobody is called ".csv"
    assert typed(Inner, {"size": 3}) == Inner(3)
    assert typed(dict[str, Any], {"fps": {10: 1}}) == {"fps": {10: 1}}
    assert typed(dict[float, int], {10: 1}) == {10.0: 1}


def test_a_call_is_checked_by_its_signature():
    made = call_typed(Made, {"share": 1, "inner": {"size": 2}, "mode": "b"}, {"given": 7}, "head")
    assert made.all == (7, 1.0, Inner(2), "b")
    for options, sentence in (
        ({}, "head.share must be given: head.share=VALUE."),
        ({"share": 2}, "head.share=2: give 1 or less."),
        ({"share": 0, "mod": "a"}, "There is no option 'head.mod'. Did you mean head.mode?"),
        ({"share": 0, "given": 1}, "There is no option 'head.given'. There are: head.inner,"),
        ({"share": 0, "mode": "c"}, "head.mode=c: give a or b."),
    ):
        with pytest.raises(ConfigError) as error:
            call_typed(Made, options, {"given": 7}, "head")
        assert str(error.value).startswith(sentence)


class Rest(TypedDict):
    size: int
    seed: NotRequired[int]


def test_unpacked_arguments_are_checked_too():
    class Unpacking:
        def __init__(self, name: str, **rest: Unpack[Rest]):
            self.all = (name, rest)

    assert call_typed(Unpacking, {"name": "a", "size": 3}, {}, "x").all == ("a", {"size": 3})
    with pytest.raises(ConfigError, match=r"^x.size must be given"):
        call_typed(Unpacking, {"name": "a"}, {}, "x")
    with pytest.raises(ConfigError, match=r"^x.seed=b: give a whole number"):
        call_typed(Unpacking, {"name": "a", "size": 3, "seed": "b"}, {}, "x")
    with pytest.raises(ConfigError, match=r"no option 'x.rest'"):
        call_typed(Unpacking, {"name": "a", "size": 3, "rest": 1}, {}, "x")


def test_names_are_compared_by_their_last_word():
    assert unknown_option("trainer.foo", ["trainer.patience"]).endswith("are: trainer.patience.")
    assert unknown_option("a", []) == "There is no option 'a'. There are: none."


def test_a_dataclass_may_build_on_one_of_another_module(tmp_path, monkeypatch):
    head = "from __future__ import annotations\nfrom dataclasses import dataclass\n"
    (tmp_path / "checks_base.py").write_text(
        f"{head}from pathlib import Path\n@dataclass(frozen=True)\nclass Base:\n    file: Path\n"
    )
    (tmp_path / "checks_more.py").write_text(
        f"{head}from checks_base import Base\n@dataclass(frozen=True)\n"
        "class More(Base):\n    count: int = 3\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    made = importlib.import_module("checks_more").More
    assert arguments_of(made)["file"] == (Path, True)
    assert call_typed(made, {"file": "a"}, {}, "").file == Path("a")
