"""What every loss promises, for every file in configs/loss; and losses that break a promise."""

import pytest

from collision.config import names_of, part
from collision.search.loss_conformance import CHECKS
from collision.search.loss_subject import LocalLoss
from collision.search.verdicts import NotConformant
from tests.kit.broken import LOSSES, Plain, broken


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("name", names_of("loss"))
def test_a_loss_keeps_its_promises(name, check):
    CHECKS[check](LocalLoss(part("loss", name)))


@pytest.mark.parametrize("check", CHECKS)
def test_each_promise_can_be_broken(check):
    CHECKS[check](LocalLoss(broken("loss", Plain, pos_weight="auto")))
    for made in LOSSES[check]:
        loss = LocalLoss(broken("loss", made, pos_weight="auto"))
        with pytest.raises(NotConformant) as refused:
            CHECKS[check](loss)
        assert "\n" not in str(refused.value), made
