"""What every head and every pooling promises, for every file in configs/head and configs/pooling.

The promises are those of ``collision.search.conformance``, which proposed parts meet as well. Every
head meets the pooling ``last``, and every pooling the heads ``linear`` and ``gru``; the other pairs
are slow tests. So is all of a head that is large by its YAML, which meets ``last`` alone.
"""

import pytest
import torch

from collision.config import names_of, part
from collision.search import conformance
from collision.search.conformance import CHECKS, OF_ENCODERS
from collision.search.subject import Local
from tests.kit.heads import HEADS, is_large

POOLINGS = names_of("pooling")
SWITCHES = ("bidirectional", "causal")  # options that decide what an output may depend on
LARGE = {head for head in HEADS if is_large(head)}
SMALL = [head for head in HEADS if head not in LARGE]
# What a pooling changes nothing of is seen with one of them.
WITH_ANY_POOLING = [name for name in CHECKS if name not in OF_ENCODERS]
SECONDS_LONG = ("compiled_it_gives_the_same", "it_learns")


def pairs():
    """Every head with every pooling, most of them marked slow."""
    for head in HEADS:
        for pooling in ["last"] if head in LARGE else POOLINGS:
            quick = (pooling == "last" and head not in LARGE) or head in ("linear", "gru")
            marks = () if quick else pytest.mark.slow
            yield pytest.param((head, pooling), id=f"{head}-{pooling}", marks=marks)


def variants():
    """Every head as it is, and with each of its switches turned."""
    for head in HEADS:
        options = part("head", head).options
        if head in LARGE:
            continue  # they differ from others in size
        yield pytest.param((head, {}), id=head)
        for switch in [switch for switch in SWITCHES if switch in options]:
            turned = {switch: not options[switch]}
            yield pytest.param((head, turned), id=f"{head}-{switch}={turned[switch]}")


def subject_of(head, pooling="last", **options):
    return Local(part("head", head, **options), part("pooling", pooling))


def test_every_part_is_found():
    assert {"zipformer", "transformer", "gru", "linear"} <= set(HEADS)
    assert {"attention", "mean", "max", "last"} <= set(POOLINGS)
    met = {parameter.values[0]: parameter.marks for parameter in pairs()}
    assert met.keys() >= {(head, pooling) for head in SMALL for pooling in POOLINGS}
    assert {head for head, _ in met} == set(HEADS)
    quick = [pair for pair, marks in met.items() if not marks]
    assert {head for head, _ in quick} == set(SMALL)
    assert {"retnet", "bimamba", "hybrid", "zipformer", "transformer", "gru"} <= set(SMALL)
    assert {pooling for _, pooling in quick} == set(POOLINGS)


def checks_of_pairs():
    """All of them; what takes seconds each head does with last, and each pooling with linear."""
    for pair in pairs():
        head, pooling = pair.values[0]
        for check in WITH_ANY_POOLING:
            if check not in SECONDS_LONG or pooling == "last" or head == "linear":
                yield pytest.param(
                    check, (head, pooling), id=f"{check}-{pair.id}", marks=pair.marks
                )


@pytest.mark.parametrize(("check", "parts"), list(checks_of_pairs()))
def test_a_head_with_a_pooling(check, parts):
    head, pooling = parts
    CHECKS[check](subject_of(head, pooling))


@pytest.mark.parametrize("variant", list(variants()))
@pytest.mark.parametrize("check", OF_ENCODERS)
def test_an_encoder_alone(check, variant):
    head, options = variant
    CHECKS[check](subject_of(head, **options))


@pytest.mark.slow
@pytest.mark.parametrize("head", SMALL)
def test_one_finite_logit_an_example_at_every_length(head):
    conformance.one_finite_logit_an_example(subject_of(head), range(1, 513))


@pytest.mark.slow
@pytest.mark.parametrize("head", SMALL)
def test_compiled_to_machine_code_it_gives_the_same(head):
    conformance.compiled_it_gives_the_same(subject_of(head), "inductor", steps=16)


def test_a_subject_stays_as_it_is():
    """Whatever is asked of it, in double precision or with dropout."""
    subject = subject_of("gru")
    before = {name: value.clone() for name, value in subject.state().items()}
    for check in CHECKS.values():
        check(subject)
    after = subject.state()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert not subject.model.training
