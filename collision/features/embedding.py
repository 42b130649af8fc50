"""The backbone's own thread: batches in, features out, neither copies nor storing waited for.

Shapes: B windows of a batch, T frames a window, S steps a window, D feature dim, H W image.
"""

from __future__ import annotations

import ctypes
import logging
import queue
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from collision.errors import ConfigError
from collision.features.batches import WindowBatch
from collision.features.interruption import OutOfTime
from collision.types import Backbone, BackboneSpec, Seconds

if TYPE_CHECKING:
    from lightning.fabric import Fabric

logger = logging.getLogger(__name__)

# Batches that are copied, embedded and stored at the same time.
NUM_BUFFERS = 3

# A pinned buffer takes no more than this of main memory.
_MOST_BYTES = 2**30


@dataclass(eq=False)
class Embedded:
    """What a batch gave: ``float32 [B, S, D]``, its padding too, once ``wait`` has returned."""

    batch: WindowBatch
    features: torch.Tensor
    event: Any = None

    def wait(self) -> NDArray[np.floating]:
        """Give the features in main memory."""
        if self.event is not None:
            self.event.synchronize()
        return self.features.numpy()


class Embedder(threading.Thread):
    """Runs a backbone on batches in the order in which they come; ``put(None)`` is their end.

    Attributes:
        waited: How long it had nothing to do.
        error: What ended it early.
    """

    def __init__(
        self,
        backbone: Backbone,
        fabric: Fabric,
        batch_size: int,
        on_done: Callable[[Embedded], None],
        on_end: Callable[[], None],
    ):
        """Give each result to ``on_done``; call ``on_end`` at the end, whatever the reason."""
        super().__init__(daemon=True, name="embedder")
        self.backbone, self.fabric, self.on_done, self.on_end = backbone, fabric, on_done, on_end
        self.batch_size = batch_size
        self.waited: Seconds = 0.0
        self.num_batches = self.num_windows = 0
        self.error: BaseException | None = None
        self._batches: queue.SimpleQueue[WindowBatch | None] = queue.SimpleQueue()
        cuda = fabric.device.type == "cuda"
        self._copies = torch.cuda.Stream(fabric.device) if cuda else None

    def put(self, batch: WindowBatch | None) -> None:
        """Add a batch; None: no more will come."""
        self._batches.put(batch)

    def abandon(self) -> None:
        """End between two layers of the forward in flight; its batch is lost."""
        if self.ident is not None and self.is_alive():
            thread, error = ctypes.c_ulong(self.ident), ctypes.py_object(OutOfTime)
            ctypes.pythonapi.PyThreadState_SetAsyncExc(thread, error)
            self.put(None)

    def run(self) -> None:
        """Work until the end, an error, or until it is abandoned."""
        try:
            for batch in self._coming():
                self.on_done(self._embed(batch))
                self.num_batches += 1
                self.num_windows += batch.num_windows
        except OutOfTime:
            pass
        except BaseException as error:  # the main thread raises it
            self.error = error
        finally:
            self.on_end()

    def _coming(self) -> Iterator[WindowBatch]:
        while True:
            started = time.monotonic()
            batch = self._batches.get()
            self.waited += time.monotonic() - started
            if batch is None:
                return
            yield batch

    def _embed(self, batch: WindowBatch) -> Embedded:
        """Embed in one go, or in pieces of what was found to fit into the device's memory."""
        found: list[torch.Tensor] = []
        begin = 0
        while begin < len(batch.frames):
            piece = batch.frames[begin : begin + self.batch_size]
            try:
                found.append(self._forward(piece))
            except torch.OutOfMemoryError as error:
                self._halve(error)
                continue
            begin += len(piece)
        features = found[0] if len(found) == 1 else torch.cat(found)
        if self._copies is None:
            return Embedded(batch, features)
        there = torch.empty(features.shape, dtype=features.dtype, pin_memory=True)
        there.copy_(features, non_blocking=True)
        event = torch.cuda.Event()
        event.record()
        return Embedded(batch, there, event)

    def _halve(self, error: torch.OutOfMemoryError) -> None:
        device = self.fabric.device
        if self.batch_size == 1:
            raise ConfigError(
                f"Not even one window of this backbone fits into the memory of {device}. Choose a "
                "smaller backbone, extraction.precision=bf16-true, or another device: "
                "extraction.accelerator=cpu."
            ) from error
        before, self.batch_size = self.batch_size, -(-self.batch_size // 2)
        text = "Batches of %d windows do not fit into the memory of %s: going on with %d."
        logger.warning(text, before, device, self.batch_size)
        if device.type == "cuda":
            torch.cuda.empty_cache()

    @torch.inference_mode()
    def _forward(self, windows: torch.Tensor) -> torch.Tensor:
        """Embed ``uint8 [B, T, H, W, 3]``; gives float32 ``[B, S, D]``, on a GPU not waited for.

        Fewer steps for windows that are cut short.
        """
        if self._copies is not None:
            with torch.cuda.stream(self._copies):
                windows = windows.to(self.fabric.device, non_blocking=True)
            now = torch.cuda.current_stream(self.fabric.device)
            now.wait_stream(self._copies)
            windows.record_stream(now)
        with self.fabric.autocast():
            features = self.backbone(windows).float()
        check_shape(self.backbone.spec, windows, features)
        return features


def check_shape(spec: BackboneSpec, windows: torch.Tensor, features: torch.Tensor) -> None:
    """Refuse (ConfigError) features of another shape than a spec promises."""
    wanted = (len(windows), spec.num_steps, spec.feature_dim)
    if windows.shape[1] < spec.num_frames and features.ndim == len(wanted):
        given = features.shape[1]
        is_right = features.shape == (wanted[0], given, wanted[2]) and 1 <= given <= wanted[1]
    else:
        is_right = features.shape == wanted
    if not is_right:
        raise ConfigError(
            f"The backbone {spec.name!r} gives features of shape {tuple(features.shape)}; its spec "
            f"promises {wanted}: windows, num_steps, feature_dim."
        )


def suitable_batch_size(backbone: Backbone, fabric: Fabric) -> int:
    """Choose how many windows go through a backbone at once.

    On a GPU as many as four fifths of its free memory hold, by what two small batches took; on a
    CPU few: its caches like few frames (one of 128x224 took tf_efficientnet_lite0 22 ms alone, 15.3
    in batches of 4, 14.6 of 8, 16.7 of 16 and 19 of 32).
    """
    spec, device = backbone.spec, fabric.device
    if device.type != "cuda":
        return max(2, 8 // spec.num_frames)
    window = spec.num_frames * spec.height * spec.width * 3
    most = max(1, min(256, _MOST_BYTES // window))
    with torch.inference_mode(), fabric.autocast():
        peaks = [_peak(backbone, count, device) for count in (1, 1, 2) if count <= most]
    return batch_that_fits(peaks[1:], torch.cuda.mem_get_info(device)[0], most)


def batch_that_fits(peaks: list[int], free: int, most: int) -> int:
    """Extend the memory that batches of 1, 2, ... windows took to what is free: a power of two."""
    if len(peaks) < 2:
        return 1
    each = max(1, peaks[-1] - peaks[-2])
    count = max(1, min(most, int(0.8 * free - peaks[0]) // each + 1))
    return 1 << (count.bit_length() - 1)


def _peak(backbone: Any, count: int, device: torch.device) -> int:
    spec = backbone.spec
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    shape = count, spec.num_frames, spec.height, spec.width, 3
    try:
        backbone(torch.zeros(shape, dtype=torch.uint8, device=device))
    except torch.OutOfMemoryError:
        return 2**62  # the batch of one will say so
    return torch.cuda.max_memory_allocated(device) - before
