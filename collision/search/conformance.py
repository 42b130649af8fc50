"""What every head and every pooling promises: one suite, for the tests and for proposed parts.

Each check asks a ``Subject`` for outputs and judges them here, in the process that asks: whatever
code the subject runs, behind walls it has no part in the verdict.

Shapes: B examples, L feature steps, D feature dim.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Set
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from collision.search.subject import FEATURE_DIM, Ask, Batch, Subject
from collision.search.verdicts import NotConformant, named
from collision.search.verdicts import check_close as _close

LENGTHS = (*range(1, 10), 16, 23, 40, 65, 512)
_PADDING = (0.0, 1e4, float("nan"), float("inf"))
_LOGITS, _ENCODED = Ask(), Ask("encoded")


def make_batch(num_examples: int, num_steps: int, seed: int = 0) -> Batch:
    """Draw a batch without gaps; its features have mean 3 and standard deviation 2."""
    generator = torch.Generator().manual_seed(seed)
    features = 3 + 2 * torch.randn(num_examples, num_steps, FEATURE_DIM, generator=generator)
    times = torch.linspace(-2.0, 0.0, num_steps).repeat(num_examples, 1)
    return Batch(features, times, torch.ones(num_examples, num_steps, dtype=torch.bool))


def pad(batch: Batch, left: int, right: int, value: float = float("nan")) -> Batch:
    """Put masked steps of ``value`` on both sides."""
    padding = torch.nn.functional.pad
    return Batch(
        padding(batch.features, (0, 0, left, right), value=value),
        padding(batch.times, (left, right), value=value),
        padding(batch.mask, (left, right), value=False),
    )


def with_gaps(batch: Batch) -> Batch:
    """Mask the first steps of an example, the last of another, and some in the middle."""
    mask = batch.mask.clone()
    mask[0, :3], mask[1, -2:], mask[2, 2:4] = False, False, False
    return batch._replace(mask=mask)


def one_finite_logit_an_example(subject: Subject, lengths: Iterable[int] = LENGTHS) -> None:
    """At any length."""
    for num_steps in lengths:
        logits = subject.run(make_batch(3, num_steps), _LOGITS).outputs
        if logits.shape != (3,) or logits.dtype != torch.float32:
            raise NotConformant(
                f"3 examples of {num_steps} steps give {list(logits.shape)} {logits.dtype}, not "
                "three numbers in float32."
            )
        if not logits.isfinite().all():
            raise NotConformant(f"Examples of {num_steps} steps give {logits.tolist()}.")


def features_matter(subject: Subject) -> None:
    """Other features, other logits."""
    logits = subject.run(make_batch(6, 8), _LOGITS).outputs
    if not logits.std() > 1e-3:
        raise NotConformant(f"Six different examples all give about {float(logits[0]):.4g}.")


def padding_is_invisible(subject: Subject) -> None:
    """On either side, whatever lies under the mask."""
    generator = torch.Generator().manual_seed(1)
    for num_steps in (1, 2, 5, 8, 13):
        batch = make_batch(4, num_steps)
        expected = subject.run(batch, _LOGITS).outputs
        for value in _PADDING:
            for _ in range(4):
                left, right = torch.randint(0, 10, (2,), generator=generator).tolist()
                padded = subject.run(pad(batch, left, right, value), _LOGITS).outputs
                where = f"L={num_steps}, {left} steps of {value} on the left, {right} on the right"
                _close(padded, expected, 1e-5, where)


def examples_do_not_see_each_other(subject: Subject) -> None:
    """Of different length, in one batch."""
    alone = [make_batch(1, num_steps, seed=num_steps) for num_steps in (1, 3, 6, 11, 12)]
    expected = torch.cat([subject.run(batch, _LOGITS).outputs for batch in alone])
    padded = []
    for number, batch in enumerate(alone):
        missing = 12 - batch.mask.shape[1]
        left = missing * (number % 2)
        padded.append(pad(batch, left, missing - left))
    whole = Batch(*(torch.cat(parts) for parts in zip(*padded, strict=True)))
    together = subject.run(whole, _LOGITS).outputs
    _close(together, expected, 1e-5, "five examples together, against each alone")


def an_encoder_does_not_look_under_the_mask(subject: Subject) -> None:
    """The encoder by itself, without what is around it."""
    features, times, mask = make_batch(4, 10)
    mask[0, :4], mask[1, 6:], mask[2, 3:5] = False, False, False
    expected = subject.run(Batch(features, times, mask), _ENCODED).outputs
    hidden, unknown = features.clone(), times.clone()
    hidden[~mask] = unknown[~mask] = float("nan")
    encoded = subject.run(Batch(hidden, unknown, mask), _ENCODED).outputs
    wanted = [4, 10, subject.facts.output_dim]
    if list(encoded.shape) != wanted:
        raise NotConformant(f"The encoder gives shape {list(encoded.shape)}, not its {wanted}.")
    _close(encoded[mask], expected[mask], None, "steps that are there, with NaN in the gaps")


def an_empty_example_is_harmless(subject: Subject) -> None:
    """One without a valid step is finite, harms no other and leaves gradients finite."""
    features, times, mask = make_batch(3, 6)
    expected = subject.run(Batch(features, times, mask), _LOGITS).outputs
    features, mask = features.clone(), mask.clone()
    features[1], mask[1] = float("nan"), False
    batch = Batch(features, times, mask)
    logits = subject.run(batch, _LOGITS).outputs
    if not logits.isfinite().all():
        raise NotConformant(f"An example without a valid step gives {float(logits[1])}.")
    _close(logits[[0, 2]], expected[[0, 2]], 1e-5, "examples beside an empty one")
    found = _gradients(subject, batch, Ask(gradients=True, training=True))
    broken = [name for name, one in found.items() if not one.isfinite().all()]
    if broken:
        raise NotConformant(f"An example without a valid step breaks the gradient of {broken[0]}.")


def gradient_reaches_every_parameter(subject: Subject) -> None:
    """Each plays a part; and none has a gradient of 0 with its own pooling and with the mean.

    At the last step, what reads from the newest step on has seen one step and kept nothing: there
    alone a gradient may be 0, and only of what the mean over steps reaches.
    """
    features, times, mask = make_batch(4, 9)
    mask[0, 7:] = False
    batch = Batch(features, times, mask)
    silent = _silent(subject, batch)
    if silent:
        other = subject.pooled_by("mean")
        silent -= _gradients(other, batch, Ask(gradients=True)).keys() - _silent(other, batch)
    if silent:
        raise NotConformant(f"No gradient reaches {', '.join(sorted(silent))}.")


def _silent(subject: Subject, batch: Batch) -> set[str]:
    found = _gradients(subject, batch, Ask(gradients=True))
    return {name for name, one in found.items() if not one.abs().max() > 0}


def _gradients(subject: Subject, batch: Batch, ask: Ask) -> dict[str, Tensor]:
    """Give the gradient of every trained parameter; NotConformant: one plays no part."""
    found = subject.run(batch, ask).gradients
    if missing := sorted(name for name, one in found.items() if one is None):
        raise NotConformant(f"{', '.join(missing)}: what is trained plays no part in the logits.")
    if subject.facts.num_parameters and not found:
        raise NotConformant("No gradient comes back from the logits.")
    return {name: one for name, one in found.items() if one is not None}


def saved_and_loaded_it_gives_the_same(subject: Subject) -> None:
    """As safetensors and as torch's own file."""
    batch = make_batch(3, 7)
    expected = subject.run(batch, _LOGITS).outputs
    state = subject.state()
    with tempfile.TemporaryDirectory() as place:
        safe, own = Path(place) / "head.safetensors", Path(place) / "head.pt"
        save_file(state, safe)
        torch.save(state, own)
        for read in (load_file(safe), torch.load(own, weights_only=True)):
            if not torch.equal(subject.loaded(read).run(batch, _LOGITS).outputs, expected):
                raise NotConformant("Loaded from its saved state, it gives other logits.")


def it_is_deterministic_and_order_is_free(subject: Subject) -> None:
    """The same twice, and the same in another order of examples."""
    features, times, mask = make_batch(5, 8)
    mask[2, :3] = False
    expected = subject.run(Batch(features, times, mask), _LOGITS).outputs
    if not torch.equal(subject.run(Batch(features, times, mask), _LOGITS).outputs, expected):
        raise NotConformant("Asked twice for the same batch in eval mode, it gives other logits.")
    order = torch.tensor([3, 0, 4, 2, 1])
    moved = subject.run(Batch(features[order], times[order], mask[order]), _LOGITS).outputs
    _close(moved, expected[order], 1e-5, "examples in another order")


def half_precision(subject: Subject) -> None:
    """In bfloat16, and on features that are stored as float16."""
    features, times, mask = make_batch(4, 9)
    mask[1, :4] = False
    batch = Batch(features, times, mask)
    expected = subject.run(batch, _LOGITS).outputs
    logits = subject.run(batch, Ask(autocast=True)).outputs
    if not logits.isfinite().all():
        raise NotConformant(f"In bfloat16 it gives {logits.tolist()}.")
    _close(logits.float(), expected, 0.1, "bfloat16, against float32")
    stored = subject.run(batch._replace(features=features.half()), _LOGITS).outputs
    _close(stored, expected, 0.05, "features in float16, against float32")


def half_precision_trains(subject: Subject) -> None:
    """Its gradients are those of float32, but for 10 %."""
    batch = with_gaps(make_batch(4, 9))
    wanted = _gradients(subject, batch, Ask(gradients=True))
    found = _gradients(subject, batch, Ask(gradients=True, autocast=True))
    _check_names(found.keys(), wanted.keys(), "under bfloat16")
    pairs = [(exact.flatten(), found[name].flatten()) for name, exact in wanted.items()]
    if any(rounded.dtype != torch.float32 for _, rounded in pairs):
        raise NotConformant("Under bfloat16 its gradients are not in float32.")
    if not pairs:
        return
    exact, rounded = (torch.cat(side) for side in zip(*pairs, strict=True))
    if not (rounded - exact).norm() <= 0.1 * exact.norm():
        off = float((rounded - exact).norm() / exact.norm())
        raise NotConformant(f"Under bfloat16 its gradients are off by {off:.0%}.")


def float64_is_float32_with_more_digits(subject: Subject) -> None:
    """Of short and of long sequences."""
    for num_steps in (1, 9, 70):
        features, times, mask = make_batch(3, num_steps)
        mask[0, : num_steps // 2] = False
        batch = Batch(features, times, mask)
        single = subject.run(batch, _ENCODED).outputs
        double = subject.run(batch, Ask("encoded", double=True)).outputs
        if double.dtype != torch.float64:
            raise NotConformant(f"Of float64 it makes {double.dtype}.")
        _close(single.double()[mask], double[mask], 1e-4, f"L={num_steps}, against float64")


def compiled_it_gives_the_same(
    subject: Subject, backend: str = "aot_eager", steps: int = 9
) -> None:
    """Outputs and gradients of encoder and pooling under ``torch.compile``."""
    batch = with_gaps(make_batch(3, steps))
    wanted = subject.run(batch, Ask("pooled", gradients=True))
    found = subject.run(batch, Ask("pooled", gradients=True, compiled=backend))
    _close(found.outputs, wanted.outputs, 1e-5, "compiled, against not")
    # The classifier is not asked here, and what it alone holds has no gradient.
    here, there = (
        {name: gradient for name, gradient in one.gradients.items() if gradient is not None}
        for one in (wanted, found)
    )
    _check_names(there.keys(), here.keys(), "compiled")
    for name, gradient in here.items():
        _close(there[name], gradient, 1e-4, f"the gradient of {name}, compiled")


def _check_names(found: Set[str], wanted: Set[str], where: str) -> None:
    if found != wanted:
        raise NotConformant(f"{where}: gradients are there or not of {', '.join(found ^ wanted)}.")


def it_is_causal_where_it_says_so(subject: Subject) -> None:
    """Whatever follows, outputs before stay; a head that says nothing does look ahead."""
    for num_steps in (6, 140):
        features, times, mask = make_batch(3, num_steps)
        mask[0, 1], mask[1, -1] = False, False
        kept = num_steps - 2
        whole = subject.run(Batch(features, times, mask), _ENCODED).outputs[:, :kept]
        cut = Batch(features[:, :kept], times[:, :kept], mask[:, :kept])
        prefix = subject.run(cut, _ENCODED).outputs
        features, mask = features.clone(), mask.clone()
        features[:, kept:] = 10 - features[:, kept:]
        mask[2, kept] = False
        changed = subject.run(Batch(features, times, mask), _ENCODED).outputs[:, :kept]
        moved = max(float((o - whole)[cut.mask].abs().max()) for o in (prefix, changed))
        says_so = subject.facts.causal
        if (moved <= 1e-5) != says_so:
            what = "says that it is causal" if says_so else "does not say causal = True"
            raise NotConformant(
                f"It {what}, but outputs before move by {moved:.1e} when later steps change."
            )


def it_learns(subject: Subject, steps: int = 40) -> None:
    """Classes that lie apart; judged on examples that it was not trained on."""
    if not subject.facts.num_parameters:
        return  # it is solved, not trained
    batch, labels = _apart(64, seed=11)
    others, theirs = _apart(200, seed=12)
    logits = subject.learned(batch, labels, steps).run(others, _LOGITS).outputs
    pairs = logits[theirs == 1][:, None] - logits[theirs == 0][None]
    area = float(((pairs > 0).float() + 0.5 * (pairs == 0).float()).mean())
    if not area >= 0.8:
        raise NotConformant(
            f"After {steps} steps on classes that lie apart, it ranks only {area:.0%} of pairs "
            "right; 80 % are wanted, and a guess gives 50 %."
        )


def _apart(count: int, seed: int) -> tuple[Batch, Tensor]:
    batch = make_batch(count, 8, seed)
    labels = (torch.arange(count) % 2).float()
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
    labels = labels[order]
    rising = torch.linspace(0.2, 1.0, 8)[:, None]  # for poolings that see change alone
    batch.features[:, :, :4] += 6 * (labels - 0.5)[:, None, None] * rising
    return batch, labels


# In the order of what breaks first.
CHECKS = named(
    one_finite_logit_an_example,
    features_matter,
    padding_is_invisible,
    examples_do_not_see_each_other,
    an_empty_example_is_harmless,
    gradient_reaches_every_parameter,
    saved_and_loaded_it_gives_the_same,
    it_is_deterministic_and_order_is_free,
    half_precision,
    half_precision_trains,
    compiled_it_gives_the_same,
    it_learns,
    an_encoder_does_not_look_under_the_mask,
    float64_is_float32_with_more_digits,
    it_is_causal_where_it_says_so,
)
# Of a head by itself, whatever pools it.
OF_ENCODERS = (
    an_encoder_does_not_look_under_the_mask.__name__,
    float64_is_float32_with_more_digits.__name__,
    it_is_causal_where_it_says_so.__name__,
)
