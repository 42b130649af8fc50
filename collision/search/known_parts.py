"""What is known of the parts that a space chooses among, without trying them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from collision.config import described, part
from collision.errors import CollisionError
from collision.search.masking import Mask, harmless, harmless_words
from collision.search.space import GROUPS, Choice, Dimension, Space

FEATURE_DIM = 1280  # of which the parameters of heads are counted, as in docs/parts.md


def known_parts(mask: Mask) -> dict[str, Any]:
    """Tell what each choice is, by dimension; nothing where names are hidden, since it names them.

    Of a part what its YAML says and its options; of a head how many parameters it has on 1280
    features, and whether a step's output depends on later ones.
    """
    if mask.everything:
        return {}
    found: dict[str, Any] = {}
    for dimension, choice in _choices(mask.space):
        facts = _facts(choice)
        if facts:
            own = found.setdefault(mask.key(dimension.key), {})
            own[mask.choice(dimension.key, choice.name)] = facts
    return found


def _choices(space: Space) -> Iterator[tuple[Dimension, Choice]]:
    for dimension in space.dimensions:
        if isinstance(dimension, Dimension):
            yield from ((dimension, choice) for choice in dimension.choices)


def _facts(choice: Choice) -> dict[str, Any]:
    facts: dict[str, Any] = {}
    for group in GROUPS:
        if group in choice.changes:
            facts |= _of_part(group, str(choice.changes[group]))
    if len(choice.changes) > 1:
        facts["sets"] = {key: _plain(value) for key, value in choice.changes.items()}
    return facts


def _of_part(group: str, name: str) -> dict[str, Any]:
    try:
        about, options = described(group, name)
        facts: dict[str, Any] = {"about": harmless_words(about)}
        plain = {key: _plain(value) for key, value in options.items() if value not in ("???", None)}
        if plain:
            facts["options"] = plain
        return {**facts, **(_of_head(name) if group == "head" else {})}
    except CollisionError:  # an option must be given first: its own words say so when it is tried
        return {}


def _of_head(name: str) -> dict[str, Any]:
    # Here, so that a wrong option of a search is refused before torch is loaded.
    import torch

    from collision.learning.head import build_model, is_chosen

    head = part("head", name)
    if is_chosen(head):
        return {}
    with torch.device("meta"):
        model = build_model(head, part("pooling", "last"), FEATURE_DIM)
    return {
        "num_parameters": model.num_parameters,
        "causal": bool(getattr(model.encoder, "causal", False)),
    }


def _plain(value: Any) -> Any:
    """Give an option's value, without paths."""
    if isinstance(value, str):
        return harmless(value, 100)
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return value
