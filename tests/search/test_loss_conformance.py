"""What every loss promises, for every file in configs/loss; and losses that break a promise."""

import pytest
import torch
from torch import nn

from collision.config import Part, names_of, part
from collision.learning.losses import BinaryCrossEntropy, weighted_mean
from collision.search.loss_conformance import CHECKS
from collision.search.loss_subject import LocalLoss
from collision.search.verdicts import NotConformant


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("name", names_of("loss"))
def test_a_loss_keeps_its_promises(name, check):
    CHECKS[check](LocalLoss(part("loss", name)))
