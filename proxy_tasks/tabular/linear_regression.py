"""Least squares on correlated inputs."""

from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Array, Float

from proxy_tasks.kit.targets import NumberTargets
from proxy_tasks.tabular.linear_model import LinearModel
from proxy_tasks.task import setting


@dataclass(frozen=True)
class LinearRegression(NumberTargets, LinearModel):
    """Half the squared error of a linear function, on inputs that are correlated.

    Targets are the margin and uniform noise of standard deviation `label_noise`.

    Theory  A quadratic whose Hessian is the covariance of the inputs: gradient descent needs some
            `condition` steps, heavy ball its root. Noise of batches fades with the error where
            `label_noise` is 0, so a constant rate converges; else the rate has to fall (Bach and
            Moulines 2013). With a ridge the optimum has the closed form (C + l2·I)⁻¹ E[x·margin].
    Unit    half the variance of the targets, + 1e-5, without their noise.
    """

    measures: ClassVar[str] = (
        "Whether an optimizer solves least squares on correlated inputs from noisy batches."
    )
    cannot: ClassVar[str] = "Nothing about curvature that changes, depth or generalisation."

    label_noise: float = setting(0.1, from_zero=True)  # standard deviation

    def targets(
        self, margins: Float[Array, " row"], luck: Float[Array, " row"]
    ) -> Float[Array, " row"]:
        return margins + self.label_noise * 12**0.5 * (luck - 0.5)  # U(0, 1) has variance 1/12

    def risk(
        self, predictions: Float[Array, " row"], margins: Float[Array, " row"]
    ) -> Float[Array, ""]:
        return self.penalty(predictions, margins)
