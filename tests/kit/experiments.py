"""Options as the command line makes them."""

from typing import Any

from collision.commands._compose import options_for


def compose(verb: str, *overrides: str) -> Any:
    """Give a verb's typed options; parts are chosen and not yet made."""
    return options_for(verb, overrides)
