"""From overrides to a verb's typed options. Hydra composes; what it says stays in here."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args, get_type_hints

import hydra
from hydra.core.config_loader import ConfigLoader
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.global_hydra import GlobalHydra
from hydra.core.plugins import Plugins
from hydra.plugins.search_path_plugin import SearchPathPlugin
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from collision.checks import call_typed, must_be_given, typed, unknown_option
from collision.commands._lists import listed_parts, named_csv, settled
from collision.commands._overrides import parse, readable
from collision.config import Part, config_dir, config_dirs, dotted, names_of, no_such_part, part_of
from collision.errors import ConfigError
from collision.options import OPTIONS, SearchOptions
from collision.search.folder import check_same_search, key_of, read_typed

# Options below it are those of whatever parts are named.
_OPEN = "backbone.options."


class OwnConfigDirs(SearchPathPlugin):
    """Lets Hydra find the YAML files of ``--config-dir``, after our own."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        for folder in config_dirs()[1:]:
            search_path.append("own", f"file://{folder}")


Plugins.instance().register(OwnConfigDirs)


@contextmanager
def hydra_context() -> Iterator[ConfigLoader]:
    """Let Hydra know our folders; give what finds files in them."""
    with hydra.initialize_config_dir(str(config_dir()), version_base="1.3"):
        yield GlobalHydra.instance().config_loader()


def options_for(verb: str, given: Sequence[str], config_name: str | None = None) -> Any:
    """Type a verb's options from the overrides of one job, composing its YAML or ``config_name``.

    ConfigError: one sentence about the first thing that cannot be.
    """
    overrides, named = spelled(verb, given)
    changes = changes_of(overrides)
    if verb == "train" and changes.get("resume") is not None:
        return importlib.import_module("collision.runs.resume").resumed(changes)
    config = composed(config_name or verb, overrides)
    plain = plain_of(config) | named
    options = typed_options(verb, plain, choices_of(config), config.hydra.help.template)
    return begun(options, given, config_name) if verb == "search" else options


def begun(options: SearchOptions, given: Sequence[str], config_name: str | None) -> SearchOptions:
    """Add what a search of this name was begun with before, and keep what was typed.

    ConfigError: It is asked to go on with other trainings, in another space, or for other ends.
    """
    typed_ones = {key_of(text): text for text in given}
    if (saved := read_typed(options)) is not None:
        both = [text for text in saved if key_of(text) not in typed_ones] + list(given)
        name = config_name or "search"
        before, options = _options_of(name, saved), _options_of(name, both)
        check_same_search(before, options)
        typed_ones = {key_of(text): text for text in both}
    return replace(options, typed=tuple(typed_ones.values()))


def _options_of(config_name: str, given: Sequence[str]) -> Any:
    overrides, named = spelled("search", given)
    config = composed(config_name, overrides)
    examples = config.hydra.help.template
    return typed_options("search", plain_of(config) | named, choices_of(config), examples)


def typed_options(
    verb: str, plain: Mapping[str, Any], choices: Mapping[str, str], examples: str
) -> Any:
    """Type a verb's composed configuration, in which ``???`` must be given.

    Choices are the YAML's name of each group, examples a text that shows options with values.
    """
    hints, rest = get_type_hints(OPTIONS[verb]), dict(plain)
    part_groups = [g for g in choices if f"{g}s" in hints or Part in _kinds(hints.get(g))]
    nodes = {group: rest.pop(group, None) or {} for group in part_groups}
    for option, value in dotted(rest).items():
        if option.partition(".")[0] not in hints:
            raise ConfigError(_no_option(option.partition(".")[0], [*choices, *hints]))
        if value == "???":
            raise ConfigError(must_be_given(option, examples))
    folders = {key: value for key, value in plain.items() if key.endswith("_root")}
    given: dict[str, Any] = {}
    for group, node in nodes.items():
        composed_one = {choices[group]: node} if node else {}
        if entries := rest.pop(f"{group}s", None):
            names = typed(tuple[str, ...], entries, where=f"{group}s")
            given[f"{group}s"] = listed_parts(group, names, composed_one, folders, f"{group}s")
        elif f"{group}s" in hints:
            given[f"{group}s"] = tuple(part_of(group, it, n) for n, it in composed_one.items())
        elif node:
            given[group] = part_of(group, node, choices[group])
    for group in [name for name, hint in hints.items() if hint is Part and name not in given]:
        there = ", ".join(names_of(group))
        raise ConfigError(f"{group} must be given: {group}=NAME. There are: {there}.")
    if "parts" in hints:
        given["parts"] = dict(choices)
    return call_typed(OPTIONS[verb], rest, given, "")


def spelled(verb: str, given: Sequence[str]) -> tuple[list[str], dict[str, Any]]:
    """Put overrides into what Hydra reads.

    Beside them, give options that it would misread: ``dataset=mine`` of ``compare`` is no YAML.
    """
    hints = get_type_hints(OPTIONS[verb])
    plain_names = [n for n, hint in hints.items() if str in _kinds(hint) and names_of(n)]
    readable_ones = readable(given, path_options(verb))
    overrides, named = [], {}
    for text in readable_ones if "dataset" in plain_names else named_csv(readable_ones):
        override = parse(text)
        name, value = override.key_or_group, override.value()
        is_group = ({name, f"{name}s"} & set(hints) or name == "experiment") and names_of(name)
        if name in plain_names:
            named[name] = value
        elif is_group and isinstance(value, list):
            raise ConfigError(f"{text}: give one name. What takes several is {name}s=[a,b].")
        elif is_group and value is None and not override.is_delete():
            overrides.append(f"~{name}")
        elif override.is_add() or name.startswith(_OPEN):  # typing refuses what does not exist
            overrides.append(("" if is_group else "++") + text.lstrip("+"))
        else:
            overrides.append(text)
    for group in ("dataset", "backbone"):
        if any(text.startswith(f"{group}s=") for text in overrides):
            default = choices_of(composed(verb, [])).get(group)
            overrides = settled(overrides, group, default)
    return overrides, named


def composed(config_name: str, overrides: Sequence[str]) -> DictConfig:
    """Compose a verb's configuration, with Hydra's own under ``hydra``; errors are in our words."""
    try:
        with hydra_context():
            return hydra.compose(config_name, list(overrides), return_hydra_config=True)
    except Exception as error:  # a HydraException, an OmegaConf one, or a bare ValueError
        why = _explained(config_name, overrides) if overrides else None
        raise ConfigError(why or _do_not_fit(error)) from error


def _explained(config_name: str, overrides: Sequence[str]) -> str | None:
    """Find the override that does not work, and say why."""
    choices = choices_of(composed(config_name, []))
    chosen = []
    for text in overrides:
        override = parse(text)
        group, value = override.key_or_group, override.value()
        if group in choices and not override.is_delete():
            if value is not None and value not in names_of(group):
                return no_such_part(group, value)
            chosen.append(text)
    if len(chosen) == len(overrides):
        return None
    options = dotted(plain_of(composed(config_name, chosen)))
    there = [*choices, *(one for one in options if not one.endswith("_target_"))]
    choices |= {group: str(name) for group, name in changes_of(chosen).items()}
    for override in map(parse, overrides):
        name = override.key_or_group
        is_known = any(f"{one}.".startswith(f"{name}.") for one in there)
        if not is_known and not name.startswith("hydra") and not override.is_add():
            part = name.partition(".")[0]
            whose = f"; what its YAML leaves out is added with +{name}=VALUE"
            is_elsewhere = part not in choices or _same_word(name, there)
            said = _no_option(name, there)
            whose = "" if "Did you mean" in said else whose  # it would only repeat the slip
            whose = "" if is_elsewhere else f" ({part}={choices[part]}{whose})"
            return said + whose
    return None


def _no_option(name: str, there: Sequence[str]) -> str:
    """Say that there is no such option; what is called so in a part may have been meant."""
    if deeper := _same_word(name, there):
        return f"There is no option {name!r}. Did you mean {' or '.join(deeper)}?"
    above, beside = name, set[str]()
    while above and not beside:
        above = above.rpartition(".")[0]
        depth = above.count(".") + 2 if above else 1
        inside = [one for one in there if one.startswith(f"{above}." if above else "")]
        beside = {".".join(one.split(".")[:depth]) for one in inside}
    return unknown_option(name, beside)


def _same_word(name: str, there: Sequence[str]) -> list[str]:
    """List the options of any part that are called as the last word of a dotted name."""
    word = name.rpartition(".")[2]
    return sorted(one for one in there if one.rpartition(".")[2] == word)


def changes_of(overrides: Sequence[str]) -> dict[str, Any]:
    """Give the values of overrides by dotted names; None for what is deleted."""
    changes = {}
    for override in map(parse, overrides):
        key = override.key_or_group
        if override.is_sweep_override():
            raise ConfigError(
                f"{override.input_line}: several values are a list, {key}=[a,b], or a sweep, "
                "with -m."
            )
        changes[key] = None if override.is_delete() else override.value()
    return changes


def path_options(verb: str) -> list[str]:
    """List a verb's options that are paths."""
    return [n for n, hint in get_type_hints(OPTIONS[verb]).items() if Path in _kinds(hint)]


def choices_of(config: DictConfig) -> dict[str, str]:
    """Give the name of the YAML that was chosen in each of a verb's groups."""
    choices = config.hydra.runtime.choices
    return {group: choices[group] for group in choices if not group.startswith("hydra/")}


def plain_of(config: DictConfig) -> dict[str, Any]:
    """Resolve everything but Hydra's own; what is missing stays ``???``."""
    own = OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])
    try:
        return OmegaConf.to_container(own, resolve=True)  # type: ignore[return-value]
    except OmegaConfBaseException as error:
        raise ConfigError(_do_not_fit(error)) from error


def _kinds(hint: Any) -> tuple[Any, ...]:
    return (hint, *get_args(hint))


def _do_not_fit(error: Exception) -> str:
    return f"The options do not fit together: {str(error).splitlines()[0]}"
