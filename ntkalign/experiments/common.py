"""What several experiments have in common: widths, the small scale, a note."""

from __future__ import annotations

from typing import Any

WIDTHS = (8, 16, 32, 64, 128, 256, 512)
SMALL: dict[str, Any] = {
    "widths": (8, 16), "rates": (1.0,), "epochs": 4, "train": 1000, "test": 500,
}  # fmt: skip
"""Of CIFAR-10: what two cores do in minutes."""
SMALL_KMNIST = SMALL | {"train": 2000}
BATCH_NORM = (
    "Batch norm takes its moments over the batch alone, for every row, column and channel, and "
    "test batches use their own."
)
