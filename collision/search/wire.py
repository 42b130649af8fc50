"""What goes through the pipe between us and code behind walls: a line of JSON a message.

What comes back is data and nothing else: names, numbers, and arrays of a few types whose size is
held against their shape.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from collision.errors import CollisionError

_TYPES = ("float16", "float32", "float64", "int64", "uint8", "bool")


class BadAnswer(CollisionError):
    """A line that is no message of ours."""


def packed(value: Any) -> Any:
    """Turn the tensors of nested dicts and lists into plain data."""
    if isinstance(value, Tensor):
        array = np.ascontiguousarray(_known(value.detach()).numpy())
        data = base64.b64encode(array.tobytes()).decode()
        return {"type": str(array.dtype), "shape": list(value.shape), "bytes": data}
    if isinstance(value, dict):
        return {name: packed(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [packed(item) for item in value]
    return value


def _known(tensor: Tensor) -> Tensor:
    """Give a type that numpy has: bfloat16 becomes float32."""
    return tensor.float() if str(tensor.dtype).removeprefix("torch.") not in _TYPES else tensor


def line_of(message: Any) -> bytes:
    """Write a message; NaN may lie in arrays alone."""
    return json.dumps(packed(message), allow_nan=False).encode() + b"\n"


def message_of(line: bytes) -> dict[str, Any]:
    """Read a line; BadAnswer: it is no JSON object."""
    try:
        message = json.loads(line, parse_constant=_refused)
    except (ValueError, RecursionError) as error:
        raise BadAnswer(f"It answers what is no JSON: {error}") from None
    if not isinstance(message, dict):
        raise BadAnswer("It answers what is no JSON object.")
    return message


def _refused(constant: str) -> None:
    raise ValueError(f"it holds {constant}")


def tensor_of(value: Any) -> Tensor:
    """Read an array; BadAnswer: it is none."""
    try:
        kind, shape, data = value["type"], value["shape"], value["bytes"]
        if kind not in _TYPES or not isinstance(data, str) or len(shape) > 8:
            raise ValueError("no such type")
        if not all(type(size) is int and size >= 0 for size in shape):
            raise ValueError("no such shape")
        content = base64.b64decode(data, validate=True)
        if len(content) != math.prod(shape) * np.dtype(kind).itemsize:
            raise ValueError("its size is not that of its shape")
    except (LookupError, TypeError, ValueError, binascii.Error) as error:
        raise BadAnswer(f"It answers what is no array: {error}") from None
    return torch.from_numpy(np.frombuffer(content, dtype=kind).reshape(shape).copy())


def tensors_of(value: Any) -> dict[str, Tensor]:
    """Read arrays by name; BadAnswer: they are none."""
    if not isinstance(value, dict):
        raise BadAnswer("It answers what are no named arrays.")
    return {str(name): tensor_of(one) for name, one in value.items()}
