"""Tasks on the images of handwritten digits: which rows they have, and who sees which."""

from typing import Any, ClassVar

from jaxtyping import PRNGKeyArray

from proxy_tasks.data.digits import LICENCE, TRAIN_ROWS, digits
from proxy_tasks.kit.parts import batch_above, deal_anew


class OnDigits:
    """A task whose data are the digits; every seed deals the train and validation rows anew."""

    source: ClassVar[str] = LICENCE

    batch: int  # a field of each task

    def impossible(self) -> str | None:
        return batch_above(self.batch, TRAIN_ROWS)

    def data(self) -> dict[str, Any]:
        return digits()

    def deal(self, key: PRNGKeyArray, data: dict[str, Any]) -> dict[str, Any]:
        return deal_anew(key, data)
