"""Gradients of heads and poolings: none may be missing, whatever is around them.

tests/temporal holds every YAML to the whole suite.
"""

import pytest

from collision.config import part
from collision.search.conformance import CHECKS
from collision.search.subject import Local
from collision.search.verdicts import NotConformant
from tests.kit.broken import (
    Dead,
    DeadPooling,
    Idle,
    IdlePooling,
    InFloat32Alone,
    Newest,
    Steps,
    broken,
)

REACHES, TRAINS = "gradient_reaches_every_parameter", "half_precision_trains"


def of_head(made):
    return Local(broken("head", made), part("pooling", "last"))


@pytest.mark.parametrize("made", [Steps, Newest])
def test_a_gradient_of_nothing_at_the_last_step_is_forgiven_if_the_mean_has_one(made):
    CHECKS[REACHES](of_head(made))


@pytest.mark.parametrize("check", [REACHES, TRAINS])
def test_what_plays_no_part_fails_whatever_pools_it(check):
    with pytest.raises(NotConformant, match=r"encoder\.extra: what is trained plays no part"):
        CHECKS[check](of_head(Idle))


def test_what_never_has_a_gradient_fails():
    with pytest.raises(NotConformant, match=r"No gradient reaches encoder\.extra"):
        CHECKS[REACHES](of_head(Dead))


def test_what_half_precision_leaves_out_fails():
    CHECKS[REACHES](of_head(InFloat32Alone))
    with pytest.raises(NotConformant, match=r"encoder\.extra: what is trained plays no part"):
        CHECKS[TRAINS](of_head(InFloat32Alone))


@pytest.mark.parametrize("made", [IdlePooling, DeadPooling])
def test_a_weight_of_a_pooling_is_not_forgiven_because_the_mean_has_none(made):
    subject = Local(part("head", "gru"), broken("pooling", made))
    with pytest.raises(NotConformant, match=r"pooling\.weight"):
        CHECKS[REACHES](subject)
