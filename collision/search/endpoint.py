"""A call to a server that speaks OpenAI's protocol: an answer in time and of a size, or why not.

Nothing that the server sends is trusted: it may be huge, endless, compressed, or no JSON.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, NoReturn

from collision.errors import ConfigError

if TYPE_CHECKING:
    import httpx

MOST_BYTES = 2**20  # of an answer: a few points are some thousand
_LONGEST_REASON = 300

Message = dict[str, str]


@dataclass(frozen=True)
class Endpoint:
    """Where agents are asked.

    Attributes:
        key: Never shown, and taken out of whatever comes back.
        timeout: Seconds for an answer; with repetitions so many times as long.
        retries: Of a request that fails.
        token_option: What the server calls the limit of an answer's tokens.
        structured: It knows ``response_format`` with a JSON schema.
    """

    url: str
    key: str = field(repr=False)
    timeout: float = 120.0
    retries: int = 2
    token_option: str = "max_completion_tokens"
    structured: bool = True

    def without_key(self, text: str) -> str:
        """Take the key out of a text."""
        return text.replace(self.key, "[key]") if len(self.key) > 7 else text


@dataclass(frozen=True)
class Answer:
    """What came of a request.

    Attributes:
        text: The model's; empty where ``failed`` says why there is none.
        requests: That were sent, repetitions included.
        served: Of them, those to which the server began an answer: they may be paid for.
        tokens_in: As the server counted them; None: it did not.
    """

    text: str = ""
    failed: str = ""
    requests: int = 0
    served: int = 0
    tokens_in: int | None = None
    tokens_out: int | None = None
    seconds: float = 0.0


def need_openai() -> None:
    """Refuse to begin without the client; ConfigError."""
    if find_spec("openai") is None:
        raise ConfigError(
            "policy=llm needs the package openai. Run: pip install 'dashcam-collision[llm]'"
        )


def ask(
    endpoint: Endpoint,
    model: str,
    messages: Sequence[Message],
    schema: dict[str, Any],
    answer_tokens: int,
) -> Answer:
    """Ask once, with repetitions where the network or the server fails; never raises for those."""
    wanted: dict[str, Any] = {
        "model": model,
        "messages": list(messages),
        endpoint.token_option: answer_tokens,
    }
    if endpoint.structured:
        form = {"name": "proposals", "strict": True, "schema": schema}
        wanted["response_format"] = {"type": "json_schema", "json_schema": form}
    call = _Call(endpoint)
    began = time.monotonic()
    try:
        answer = _content(asyncio.run(call.send(wanted)))
    except Exception as error:  # whatever a server makes of a client: the search goes on
        answer = Answer(failed=_reason(error))
    return replace(
        answer,
        text=endpoint.without_key(answer.text),
        failed=endpoint.without_key(answer.failed),
        requests=call.requests,
        served=call.served,
        seconds=round(time.monotonic() - began, 3),
    )


class _Call:
    """One call of the client: counts its requests, and bounds what comes back."""

    def __init__(self, endpoint: Endpoint):
        self.endpoint, self.requests, self.served = endpoint, 0, 0

    async def send(self, wanted: dict[str, Any]) -> bytes:
        import openai  # takes a second

        endpoint = self.endpoint
        hooks: dict[str, list[Any]] = {"request": [self._count], "response": [self._bound]}
        web = openai.DefaultAsyncHttpxClient(follow_redirects=False, event_hooks=hooks)
        # The client's own timeout bounds silences alone; the second all of it, with repetitions.
        async with (
            openai.AsyncOpenAI(
                api_key=endpoint.key or "none",
                base_url=endpoint.url,
                timeout=endpoint.timeout,
                max_retries=endpoint.retries,
                http_client=web,
            ) as client,
            asyncio.timeout(endpoint.timeout * (1 + endpoint.retries)),
        ):
            # Not by the client's method: its types know no server's own options.
            raw = await client.chat.completions.with_raw_response.create(**wanted)
            return raw.content

    async def _count(self, request: httpx.Request) -> None:
        request.headers["Accept-Encoding"] = "identity"
        self.requests += 1

    async def _bound(self, response: httpx.Response) -> None:
        import httpx

        self.served += response.is_success
        if response.headers.get("content-encoding", "identity") != "identity":
            raise httpx.DecodingError("it is compressed, which was not asked for")
        assert isinstance(response.stream, httpx.AsyncByteStream)
        response.stream = _bounded(response.stream)


def _bounded(stream: httpx.AsyncByteStream) -> httpx.AsyncByteStream:
    """Let a stream end with an error where it is too long."""
    import httpx

    class Bounded(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            size = 0
            async for piece in stream:
                size += len(piece)
                if size > MOST_BYTES:
                    raise httpx.ReadError(f"the answer has more than {MOST_BYTES} bytes")
                yield piece

        async def aclose(self) -> None:
            await stream.aclose()

    return Bounded()


def _content(body: bytes) -> Answer:
    """Read text and tokens of a chat completion; ValueError: it is none."""
    try:
        content = json.loads(body, parse_constant=_refuse)
        choice = content["choices"][0]
        text, reason = choice["message"].get("content"), choice.get("finish_reason")
        usage = content.get("usage") or {}
        tokens = [_count_of(usage.get(key)) for key in ("prompt_tokens", "completion_tokens")]
    except (LookupError, TypeError, AttributeError, ValueError, RecursionError) as error:
        raise ValueError(f"the answer is no chat completion: {type(error).__name__}") from None
    cut = "the answer was cut off: policy.answer_tokens is too small" if reason == "length" else ""
    text = text if isinstance(text, str) and not cut else ""
    text = text.encode(errors="replace").decode()  # half a surrogate pair could not be sent again
    return Answer(text, cut, tokens_in=tokens[0], tokens_out=tokens[1])


def _count_of(value: Any) -> int | None:
    fits = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**9
    return value if fits else None


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"it holds {constant}")


def _reason(error: BaseException) -> str:
    """Say what went wrong, with what was behind it."""
    status, behind = getattr(error, "status_code", None), error.__cause__
    said = f"HTTP {status}: {error}" if status else f"{error or type(error).__name__}"
    if isinstance(error, TimeoutError):
        said = "no answer in time"
    elif behind is not None and not status:
        said = f"{said} ({behind or type(behind).__name__})"
    return " ".join(said.split())[:_LONGEST_REASON]
