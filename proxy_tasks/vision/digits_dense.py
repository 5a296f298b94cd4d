"""Classify handwritten digits with one hidden layer."""

from dataclasses import dataclass
from typing import Any, ClassVar

from proxy_tasks.data.digits import LICENCE, digits
from proxy_tasks.kit.dense import DenseClassification


@dataclass(frozen=True)
class DigitsDense(DenseClassification):
    """Cross-entropy of a 64-width-10 relu network on 8x8 images of digits.

    Shape   2,410 parameters at width 32; batches in shuffled epochs over 1,078 images.
    Unit    nats per image; 2.3 for a guess.
    """

    kind: ClassVar[str] = "digits_dense"
    version: ClassVar[int] = 2  # since 2 every seed deals train and validation anew
    measures: ClassVar[str] = (
        "Whether a small dense classifier is fitted quickly from small batches without its "
        "confidence running ahead of its accuracy."
    )
    cannot: ClassVar[str] = (
        "Nothing about depth, scale or long training: a linear model already gets 97 % of "
        "the digits right, and a step takes microseconds."
    )
    source: ClassVar[str] = LICENCE

    inputs: ClassVar[str] = "image"
    targets: ClassVar[str] = "label"
    small: ClassVar[dict[str, Any]] = {"width": 8, "batch": 16, "steps": 150}

    def data(self) -> dict[str, Any]:
        return digits()
