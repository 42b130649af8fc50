"""Losses and backbones behind walls: what ``loss_subject`` and ``backbone_subject`` ask for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from torch import Tensor

from collision.checks import typed
from collision.config import Part
from collision.learning.losses import Targets
from collision.search.backbone_subject import BackboneFacts
from collision.search.loss_subject import How, LossFacts, Measured
from collision.search.session import PartFailed, Session, as_failure
from collision.search.wire import tensor_of


class RemoteLoss:
    """A loss behind walls: a ``LossSubject``."""

    def __init__(self, session: Session, part: Part, fit: tuple[float, float] | None = None):
        self.session, self.part = session, part
        answer = session.ask({"do": "build_loss", "part": asdict(part), "fit": fit})
        self._handle = answer.get("handle")
        self.facts: LossFacts = typed(
            LossFacts, answer.get("facts"), where="facts", error=PartFailed
        )

    @property
    def options(self) -> Mapping[str, Any]:
        """Those of its YAML, as it was made with them."""
        return self.part.options

    def measure(self, outputs: Tensor, targets: Targets, how: How = "plain") -> Measured:
        """Give the loss of outputs ``[B, O]`` and its gradient."""
        about = {"do": "measure", "handle": self._handle, "how": how}
        answer = self.session.ask({**about, "outputs": outputs, "targets": vars(targets)})
        with as_failure():
            gradient = answer.get("gradient")
            found = None if gradient is None else tensor_of(gradient)
            return Measured(tensor_of(answer.get("value")), found)

    def fitted(self, negative: float, positive: float) -> RemoteLoss:
        """Make another one and tell it the summed weights of each class in a pass."""
        return RemoteLoss(self.session, self.part, (negative, positive))

    def changed(self, **options: Any) -> RemoteLoss:
        """Make another one with other options."""
        return RemoteLoss(self.session, self.part.changed(options))


class RemoteBackbone:
    """A backbone behind walls: a ``BackboneSubject``."""

    def __init__(self, session: Session, part: Part, answer: Mapping[str, Any] | None = None):
        self.session, self.part = session, part
        answer = answer or session.ask({"do": "build_backbone", "part": asdict(part)})
        self._handle = answer.get("handle")
        self._facts = _facts_of(answer)

    @property
    def facts(self) -> BackboneFacts:
        """What it says of itself, and what can be seen of it now."""
        found = _facts_of(self.session.ask({"do": "backbone_facts", "handle": self._handle}))
        if found.spec != self._facts.spec:
            raise PartFailed("Its spec changes while it is used.")
        return found

    @property
    def options(self) -> Mapping[str, Any]:
        """Those of its YAML, as it was made with them."""
        return self.part.options

    def embed(self, frames: Tensor) -> Tensor:
        """Turn frames ``uint8 [B, T, H, W, 3]`` into features ``[B, S, D]``."""
        answer = self.session.ask({"do": "embed", "handle": self._handle, "frames": frames})
        with as_failure():
            return tensor_of(answer.get("features"))

    def reloaded(self) -> RemoteBackbone:
        """Make another one, whose every number was 0, and load this one's state."""
        answer = self.session.ask({"do": "backbone_reloaded", "handle": self._handle})
        return RemoteBackbone(self.session, self.part, answer)

    def changed(self, **options: Any) -> RemoteBackbone | None:
        """Make another one with other options; None: it refuses them with a sentence."""
        about = {"do": "backbone_changed", "handle": self._handle, "options": options}
        answer = self.session.ask(about)
        if answer.get("refused") is True:
            return None
        return RemoteBackbone(self.session, self.part.changed(options), answer)


def _facts_of(answer: Mapping[str, Any]) -> BackboneFacts:
    found: BackboneFacts = typed(
        BackboneFacts, answer.get("facts"), where="facts", error=PartFailed
    )
    return found
