"""Agents behind an endpoint propose points; a share of the trials stays with TPE.

What an agent is told, and that its answers are checked: docs/search_llm.md. Where an agent gives no
point (a cap, the network, two malformed answers) TPE proposes, and the proposer says so.
"""

from __future__ import annotations

import math
import os
import random
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from optuna.samplers import BaseSampler

from collision.checks import STRICT
from collision.errors import ConfigError
from collision.search.endpoint import Endpoint, need_openai
from collision.search.ledger import Caps
from collision.search.proposing import Quest
from collision.search.thinking import AgentSampler, Asking, Prices

OPENAI = "api.openai.com"


@dataclass(frozen=True)
class LLM:
    """Which agents are asked, how often, and at which price; configs/policy/llm.yaml says each.

    Raises:
        ConfigError: An option that cannot work, a key that is missing, no package ``openai``.
    """

    __pydantic_config__ = STRICT

    model: str | tuple[str, ...]
    base_url: str = "https://api.openai.com/v1"
    key_variable: str = "OPENAI_API_KEY"
    agents: int = 1
    mix: float = 0.5
    obfuscate: bool = False
    proposals: int = 3
    memory: int = 20
    max_calls: int | None = 500
    max_tokens: int | None = None
    max_cost: float | None = None
    price_in: float | tuple[float, ...] | None = None
    price_out: float | tuple[float, ...] | None = None
    answer_tokens: int = 4000
    token_option: Literal["max_completion_tokens", "max_tokens"] = "max_completion_tokens"
    structured: bool = True
    timeout: float = 120.0
    retries: int = 2
    patience: int = 5
    pause: float = 300.0

    def __post_init__(self) -> None:
        for name in ("agents", "proposals", "answer_tokens", "patience"):
            self._refuse(name, getattr(self, name) < 1, "1 or more")
        for name in ("memory", "retries", "pause"):
            self._refuse(name, not 0 <= getattr(self, name) < math.inf, "0 or more")
        for name in ("max_calls", "max_tokens", "max_cost"):
            cap = getattr(self, name)
            self._refuse(name, cap is not None and not 0 <= cap < math.inf, "0 or more, or null")
        self._refuse("mix", not 0 <= self.mix <= 1, "a share, from 0 to 1")
        self._refuse("timeout", not 0 < self.timeout < math.inf, "more than 0 seconds")
        self._check_models()
        self._check_url()
        need_openai()
        self._key()

    def sampler(self, quest: Quest) -> BaseSampler:
        """Give what Optuna asks in one process: agent ``quest.worker`` modulo ``agents``."""
        agent = quest.worker % self.agents
        place = agent % len(self._models)
        prices = [self._listed(price)[place] for price in (self.price_in, self.price_out)]
        endpoint = Endpoint(
            self.base_url,
            self._key(),
            self.timeout,
            self.retries,
            self.token_option,
            self.structured,
        )
        asking = Asking(
            endpoint,
            self._models[place],
            Prices(*prices),
            Caps(self.max_calls, self.max_tokens, self.max_cost, self.patience, self.pause),
            self.obfuscate,
            self.proposals,
            self.memory,
            self.answer_tokens,
        )
        return AgentSampler(quest, agent, asking, self.stays_with_tpe)

    def stays_with_tpe(self, seed: int, number: int) -> bool:
        """Tell whether a trial is of TPE's share: the same in every process."""
        return random.Random(f"{seed} {number}").random() < self.mix

    @property
    def _models(self) -> tuple[str, ...]:
        return (self.model,) if isinstance(self.model, str) else self.model

    def _listed(self, price: float | tuple[float, ...] | None) -> tuple[float, ...]:
        return price if isinstance(price, tuple) else (price or 0.0,) * len(self._models)

    def _check_models(self) -> None:
        bad = not self._models or not all(name.strip() for name in self._models)
        self._refuse("model", bad, "a model's name, or a list of them")
        for name in ("price_in", "price_out"):
            prices = self._listed(getattr(self, name))
            wrong = not all(0 <= price < math.inf for price in prices)
            self._refuse(name, wrong, "0 or more per million tokens")
            if len(prices) != len(self._models):
                raise ConfigError(
                    f"policy.{name} lists {len(prices)} prices for {len(self._models)} models: "
                    "give one for each, or one for all."
                )
        if self.max_cost is not None and None in (self.price_in, self.price_out):
            raise ConfigError(
                f"policy.max_cost={self.max_cost:g} needs policy.price_in and policy.price_out, "
                "per million tokens: without them nothing is known to cost anything."
            )

    def _check_url(self) -> None:
        try:
            url = urlsplit(self.base_url)
            fine = url.scheme in ("http", "https") and bool(url.hostname) and url.port != 0
        except ValueError:
            fine, url = False, urlsplit("")
        if url.username is not None or url.query:
            raise ConfigError(
                "policy.base_url holds a password or a query, which would be stored with the "
                f"search. Leave it out, and put the key into {self.key_variable}."
            )
        self._refuse("base_url", not fine, "such as http://localhost:8000/v1")

    def _key(self) -> str:
        key = os.environ.get(self.key_variable, "").strip()
        if not key and urlsplit(self.base_url).hostname == OPENAI:
            raise ConfigError(
                f"policy=llm needs a key: put it into the environment variable "
                f"{self.key_variable}, or give policy.base_url of a server that needs none."
            )
        if not (key.isascii() and key.isprintable()):
            raise ConfigError(f"The key in {self.key_variable} has letters that no key has.")
        return key

    def _refuse(self, name: str, wrong: bool, wanted: str) -> None:
        if wrong:
            raise ConfigError(f"policy.{name}={getattr(self, name)}: give {wanted}.")
