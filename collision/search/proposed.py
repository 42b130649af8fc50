"""A part that somebody, or something, proposes: one Python file and one YAML.

The files are read as text here; nothing of them is imported or run.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import json
import keyword
import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

import yaml

from collision.checks import user_path
from collision.config import Part, names_of, part
from collision.errors import ConfigError

Kind: TypeAlias = Literal["head", "pooling", "loss", "backbone"]
KINDS: tuple[Kind, ...] = get_args(Kind)
MOST_BYTES, MOST_LINES = 65536, 400  # of a file of this project
_PACKAGES: dict[Kind, str] = {
    "head": "collision.temporal",
    "pooling": "collision.temporal",
    "loss": "collision.learning",
    "backbone": "collision.backbones",
}
_ALLOWED = (
    *("__future__", "abc", "collections", "dataclasses", "einops", "functools", "itertools"),
    *("math", "torch", "typing"),
    *("collision.checks", "collision.errors", "collision.learning", "collision.types"),
)
# Of backbones alone: pictures, and networks whose weights may be installed.
_OF_BACKBONES = (
    *("cv2", "numpy", "safetensors", "timm", "torchvision", "transformers"),
    "collision.features.weights",
)
_NOT_NEEDED = (
    *("__import__", "breakpoint", "compile", "delattr", "eval", "exec", "globals", "input"),
    *("locals", "open", "print", "setattr", "vars"),
)


@dataclass(frozen=True)
class Proposed:
    """A proposed part.

    Attributes:
        target: Import path of its class: ``collision.temporal.NAME.CLASS`` of a head (of other
            kinds see ``_PACKAGES``), or of a package of the user's own, ``PACKAGE.NAME.CLASS``.
        options: Of its YAML, with their defaults.
        code, config: The text of both files.
    """

    kind: Kind
    name: str
    target: str
    options: dict[str, Any]
    code: str
    config: str

    @classmethod
    def read(cls, kind: Kind, paths: Sequence[str]) -> Proposed:
        """Read a folder that holds one ``.py`` and one ``.yaml``, or these two files.

        ConfigError: They are not there, or no part can be made of them.
        """
        script, config = _both_files(paths)
        code, text = (_text_of(path) for path in (script, config))
        if script.stem != config.stem:
            raise ConfigError(
                f"{script.name} and {config.name}: both files of a part are called like it, "
                f"as {script.stem}.py and {script.stem}.yaml."
            )
        _check_not_importable(script)
        return cls.of(kind, script.stem, code, text)

    @classmethod
    def of(cls, kind: Kind, name: str, code: str, config: str) -> Proposed:
        """Take a part from the text of its two files; ConfigError: it can be none."""
        if not re.fullmatch(r"[a-z][a-z0-9_]{0,40}", name) or keyword.iskeyword(name):
            raise ConfigError(
                f"A part is called {name!r}: take small letters, digits and _, as in my_head."
            )
        if importlib.util.find_spec(name) is not None:
            raise ConfigError(f"A part is called {name!r}, and so is a library: take another name.")
        ours, where = _PACKAGES[kind], f"{name}.yaml"
        try:
            content = yaml.safe_load(config)
        except (yaml.YAMLError, RecursionError) as error:
            raise ConfigError(f"{where} is no YAML: {' '.join(str(error).split())}") from None
        if not isinstance(content, dict) or not isinstance(content.get("_target_"), str):
            raise ConfigError(f"{where} names no class: _target_: {ours}.{name}.CLASS")
        if "${" in config or "defaults" in content:
            raise ConfigError(f"{where} holds ${{...}} or defaults: write plain values.")
        target = content.pop("_target_")
        module, _, made = target.rpartition(".")
        package, _, last = module.rpartition(".")
        is_path = all(word.isidentifier() for word in target.split("."))
        if (
            not is_path
            or last != name
            or not package
            or not (package == ours or "." not in package)
        ):
            raise ConfigError(
                f"{where}: _target_: {target}. Give {ours}.{name}.{made or 'CLASS'}, or "
                f"PACKAGE.{name}.{made or 'CLASS'} for a package of your own."
            )
        if package != ours and importlib.util.find_spec(package) is not None:
            raise ConfigError(f"{where}: _target_: {target}: {package!r} is installed already.")
        if package == ours and _is_of_the_engine(kind, module):
            raise ConfigError(
                f"A {kind} is called {name!r}, and so is {module.replace('.', '/')}.py, which is "
                "none: take another name."
            )
        if not all(isinstance(key, str) and _is_plain(value) for key, value in content.items()):
            raise ConfigError(
                f"{where}: options are names with numbers, words, true, false or null."
            )
        return cls(kind, name, target, content, code, config)

    @property
    def digest(self) -> str:
        """Name these very bytes."""
        about = json.dumps([self.kind, self.name, self.code, self.config])
        return hashlib.sha256(about.encode()).hexdigest()

    @property
    def part(self) -> Part:
        """The part, to be built behind walls alone."""
        return Part(self.kind, self.name, self.target, self.options)

    @property
    def files(self) -> dict[str, str]:
        """Both files' text by their place in a checkout, or in a folder of one's own."""
        package = self.target.rpartition(".")[0].rpartition(".")[0]
        mounted = package != "collision.learning"  # see ``collision/__init__.py``
        folder = (package.removeprefix("collision.") if mounted else package).replace(".", "/")
        return {
            f"{folder}/{self.name}.py": self.code,
            f"configs/{self.kind}/{self.name}.yaml": self.config,
        }

    @property
    def is_ours(self) -> bool:
        """Whether it belongs into this project's tree."""
        return self.target.startswith(f"{_PACKAGES[self.kind]}.")

    def model(self, head: str = "gru", pooling: str = "last") -> tuple[Part, Part]:
        """Give head and pooling: of these two kinds, one is it and the other is named."""
        if self.kind == "head":
            return self.part, part("pooling", pooling)
        return part("head", head), self.part

    def complaints(self) -> Iterator[str]:
        """Say what can be seen from the text alone; it proves nothing, and saves time."""
        if len(self.code.splitlines()) > MOST_LINES:
            yield f"{self.name}.py has more than {MOST_LINES} lines"
        try:
            tree = ast.parse(self.code)
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            yield f"{self.name}.py is no Python: {' '.join(str(error).split())}"
            return
        public = [
            node.name
            for node in tree.body
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
        ]
        wanted = self.target.rpartition(".")[2]
        if public != [wanted]:
            there = ", ".join(public) or "none"
            yield f"its one public class is {wanted}, as its YAML says; there is: {there}"
        for node in ast.walk(tree):
            yield from _complaints_of(node, self.kind)


def _is_of_the_engine(kind: Kind, module: str) -> bool:
    """Whether there is such a module in our own package which no part of this kind names."""
    if kind != "loss":
        return False  # folders of parts hold nothing else
    parts = {part(kind, name).target.rpartition(".")[0]: name for name in names_of(kind)}
    is_there = importlib.util.find_spec(module) is not None
    return is_there and parts.get(module) != module.rpartition(".")[2]


def _complaints_of(node: ast.AST, kind: Kind) -> Iterator[str]:
    allowed = (*_ALLOWED, *_OF_BACKBONES) if kind == "backbone" else _ALLOWED
    modules: list[str] = []
    if isinstance(node, ast.Import):
        modules = [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom):
        modules = [node.module or "."] if not node.level else ["."]
    for module in modules:
        if not any(module == one or module.startswith(f"{one}.") for one in allowed):
            yield f"line {node.lineno} imports {module}, which no part needs"  # type: ignore[attr-defined]
    if isinstance(node, ast.Name) and node.id in _NOT_NEEDED:
        yield f"line {node.lineno} uses {node.id}, which no part needs"


def _is_plain(value: Any) -> bool:
    if isinstance(value, list):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, bool | int | float | str)


def _check_not_importable(script: Path) -> None:
    """ConfigError: Python was started so that it takes modules from the folder of the part."""
    try:
        spec = importlib.util.find_spec(script.stem)
    except (ImportError, ValueError):
        return
    if spec is None or spec.origin is None or Path(spec.origin).resolve() != script.resolve():
        return
    folder = script.resolve().parent
    raise ConfigError(
        f"Python takes modules from {str(folder)!r}, where it was started: what lies there and is "
        "called like a library would run outside of the sandbox. Go up first: "
        f"cd .. && python -m collision part check {shlex.quote(folder.name)}; or, from here: "
        "collision part check ."
    )


def _both_files(paths: Sequence[str]) -> tuple[Path, Path]:
    given = [user_path(path) for path in paths]
    if len(given) == 1 and given[0].is_dir():
        given = sorted(path for path in given[0].iterdir() if path.suffix in (".py", ".yaml"))
    by_suffix = {path.suffix: path for path in given}
    if len(given) != 2 or set(by_suffix) != {".py", ".yaml"}:
        there = ", ".join(path.name for path in given) or "nothing"
        raise ConfigError(
            "A part is one Python file and one YAML, or a folder with these two; there is: "
            f"{there}."
        )
    for path in given:
        if not path.is_file():
            raise ConfigError(f"There is no file {str(path)!r}.")
    return by_suffix[".py"], by_suffix[".yaml"]


def _text_of(path: Path) -> str:
    if path.stat().st_size > MOST_BYTES:
        raise ConfigError(f"{path.name} is larger than {MOST_BYTES >> 10} KiB: no part is.")
    try:
        return path.read_bytes().decode("utf-8")
    except UnicodeDecodeError:
        raise ConfigError(f"{path.name} is no text in UTF-8.") from None
