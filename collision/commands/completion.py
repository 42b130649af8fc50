"""Print a script that completes verbs, options, names of parts and files in a shell."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator

from collision.commands._known import FLAGS, Known, known_of
from collision.errors import ConfigError
from collision.options import OPTIONS, CompletionOptions

_AGAIN = "# Made by `collision completion {shell}`; make it again after an update."


def run(options: CompletionOptions, paths: list[str]) -> int:
    """Print it."""
    if paths[0] not in _SCRIPTS:
        raise ConfigError(f"completion {paths[0]}: give one of {', '.join(_SCRIPTS)}.")
    known = {verb: known_of(verb) for verb in sorted(OPTIONS)}
    print(_AGAIN.format(shell=paths[0]))
    for line in _SCRIPTS[paths[0]](known):
        print(line)
    return 0


def _cases(verb: str, known: Known) -> Iterator[tuple[str, str]]:
    """Give the values of a verb's options by ``verb:option``; options of like values share one."""
    by_values: dict[tuple[str, ...], list[str]] = {}
    for option, values in known.options.items():
        if values:
            by_values.setdefault(values, []).append(f"{verb}:{option}")
    for values, names in by_values.items():
        yield "|".join(names), " ".join(values)


def _bash(known: dict[str, Known]) -> Iterator[str]:
    """Read the line itself: bash breaks words at ``=``, and there is no bash-completion needed."""
    yield "_collision_options() { case $1 in"
    yield from (f"{v}) echo {shlex.quote(_options(one))};;" for v, one in known.items())
    yield "esac; }"
    yield "_collision_actions() { case $1 in"
    yield from (f"{v}) echo {shlex.quote(' '.join(o.actions))};;" for v, o in known.items())
    yield "esac; }"
    yield "_collision_values() { case $1 in"
    for verb, one in known.items():
        yield from (f"{names}) echo {shlex.quote(values)};;" for names, values in _cases(verb, one))
    yield "esac; }"
    yield _BASH.replace("@VERBS@", " ".join(known)).replace("@FLAGS@", " ".join(FLAGS))


def _options(known: Known) -> str:
    return " ".join(f"{name}=" for name in known.options)


_BASH = r"""_collision() {
  local line=${COMP_LINE:0:COMP_POINT} cur verb key value option
  cur=${line##*[[:space:]]}
  verb=${COMP_WORDS[1]}
  COMPREPLY=()
  if [[ $COMP_CWORD -le 1 ]]; then
    COMPREPLY=($(compgen -W "@VERBS@ --help --version" -- "$cur"))
    return
  fi
  case $cur in
    -*) COMPREPLY=($(compgen -W "@FLAGS@" -- "$cur")) ;;
    *=*)
      key=${cur%%=*} value=${cur#*=}
      option=$(_collision_values "$verb:$key")
      if [[ -n $option ]]; then
        COMPREPLY=($(compgen -W "$option" -- "$value"))
      else
        compopt -o filenames 2>/dev/null
        mapfile -t COMPREPLY < <(compgen -f -- "$value")
      fi
      # Where bash takes = as a part of words, it wants the whole of it.
      [[ $COMP_WORDBREAKS == *=* ]] || COMPREPLY=("${COMPREPLY[@]/#/$key=}") ;;
    *)
      option="$(_collision_options "$verb") $(_collision_actions "$verb")"
      COMPREPLY=($(compgen -W "$option" -- "$cur"))
      if [[ ${#COMPREPLY[@]} -gt 0 && ${COMPREPLY[0]} == *= ]]; then
        compopt -o nospace 2>/dev/null
      fi
      [[ -z $cur ]] || mapfile -t -O ${#COMPREPLY[@]} COMPREPLY < <(compgen -f -- "$cur") ;;
  esac
}
complete -o default -F _collision collision"""


def _zsh(known: dict[str, Known]) -> Iterator[str]:
    yield "(( $+functions[compdef] )) || { autoload -Uz compinit && compinit -u; }"
    yield "_collision() {"
    yield "  local -a options actions values"
    yield f"  local -a verbs=({' '.join(known)}) flags=({' '.join(FLAGS)})"
    yield "  if (( CURRENT == 2 )); then compadd -a verbs; return; fi"
    yield "  local verb=$words[2]"
    yield "  case $verb in"
    for verb, one in known.items():
        lists = f"options=({_options(one)}) actions=({' '.join(one.actions)})"
        yield f"  {verb}) {lists};;"
    yield "  esac"
    yield "  if [[ $PREFIX == -* ]]; then compadd -a flags; return; fi"
    yield "  if compset -P '*='; then"
    yield "    case $verb:${IPREFIX%=} in"
    for verb, one in known.items():
        yield from (f"    {names}) values=({values});;" for names, values in _cases(verb, one))
    yield "    esac"
    yield "    if (( $#values )); then compadd -a values; else _files; fi"
    yield "    return"
    yield "  fi"
    yield "  compadd -S '' -a options"
    yield "  compadd -a actions"
    yield "  _files"
    yield "}"
    yield "compdef _collision collision"


def _fish(known: dict[str, Known]) -> Iterator[str]:
    start = "complete -c collision"
    yield f"{start} -n __fish_use_subcommand -f -a {shlex.quote(' '.join(known))}"
    for flag in FLAGS:
        yield f"{start} -l {flag.removeprefix('--')}"
    for verb, one in known.items():
        seen = f"{start} -n '__fish_seen_subcommand_from {verb}'"
        if one.actions:
            yield f"{seen} -a {shlex.quote(' '.join(one.actions))}"
        plain = [f"{name}=" for name, values in one.options.items() if not values]
        named = [f"{name}={value}" for name, vs in one.options.items() for value in vs]
        yield f"{seen} -a {shlex.quote(' '.join([*plain, *named]))}"


_SCRIPTS: dict[str, Callable[[dict[str, Known]], Iterator[str]]] = {
    "bash": _bash,
    "zsh": _zsh,
    "fish": _fish,
}
