"""The figures of a comparison: forest plots, performance profiles, heat maps, sweeps of rates.

Each is a function of plain numbers that writes one file, SVG, PDF or PNG by the ending of its name.
Scores are log(loss of the reference / loss): 0 is the reference, and higher is better.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from evolve.comparison.profile import R_MAX
from evolve.reporting.canvas import (
    BETTER,
    UNDECIDED,
    WIDTH,
    WORSE,
    inches,
    label,
    look,
    picture,
    plain_numbers,
    signed,
)

Curve = tuple[Float[np.ndarray, " point"], Float[np.ndarray, " point"]]


def forest(rows: Sequence[tuple[str, float, float, float]], against: str, path: Path | str) -> None:
    """Draw scores with their intervals, one optimizer a row, and write the numbers beside them.

    rows: name, score, low, high; the first on top. One without a finite score has diverged. Grey
    are intervals that hold 0, the score of `against`.
    """
    with picture(path, WIDTH, 0.75 + 0.24 * len(rows)) as figure:
        axes: Any = figure.subplots()
        beside: Any = axes.get_yaxis_transform()
        for y, (_, score, low, high) in enumerate(rows):
            colour = UNDECIDED if low <= 0 <= high else BETTER if low > 0 else WORSE
            said = "diverged"
            if math.isfinite(score):
                axes.plot([low, high], [y, y], color=colour, linewidth=1.6, solid_capstyle="butt")
                axes.plot(score, y, "o", color=colour, markersize=5)
                said = f"{signed(score, 3)}  [{signed(low, 3)}, {signed(high, 3)}]"
            axes.text(1.02, y, said, transform=beside, va="center", fontsize=8, color=colour)

        axes.axvline(0, color="black", linewidth=0.7, zorder=0)
        axes.set_yticks(range(len(rows)), [label(name) for name, *_ in rows])
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        axes.grid(axis="x", color="#E4E4E4", linewidth=0.6)
        axes.set_axisbelow(True)
        axes.set_xlabel(f"log(loss of {label(against)} / loss)     better →")


def profiles(curves: Mapping[str, Curve], path: Path | str) -> None:
    """Draw performance profiles: on what share of tasks an optimizer is near the fastest.

    curves: the corners of each, as `performance_profile` gives them. Listed in the order in which
    they end, the highest first.
    """

    def end(name: str) -> float:
        tau, rho = curves[name]
        return float(rho[np.searchsorted(tau, R_MAX, side="right") - 1])

    with picture(path, WIDTH, max(2.9, 0.4 + 0.17 * len(curves))) as figure:
        axes: Any = figure.subplots()
        numbers = {name: number for number, name in enumerate(curves)}
        for name in sorted(curves, key=lambda name: -end(name)):
            tau, rho = curves[name]
            # Drawn on to the edge, and up from 0 at the left one.
            tau, rho = np.concatenate([[1.0], tau, [2 * R_MAX]]), np.append(rho, rho[-1])
            axes.step(tau, [0.0, *rho], where="post", label=label(name), **look(numbers[name]))

        axes.set_xscale("log")
        plain_numbers(axes.xaxis, (1, 1.25, 1.5, 2, 2.5, 3, R_MAX))
        axes.set_xlim(1, R_MAX)
        axes.set_ylim(0, 1.02)
        axes.set_yticks(np.linspace(0, 1, 5))
        axes.grid(color="#E4E4E4", linewidth=0.6)
        axes.set_xlabel("time to the target, over that of the fastest")
        axes.set_ylabel("share of tasks")
        figure.legend(loc="outside right upper", handlelength=2.6)


def heat(
    names: Sequence[str],
    tasks: Sequence[str],
    scores: Float[np.ndarray, "name task"],
    path: Path | str,
) -> None:
    """Draw scores by optimizer and task: blue is better than the reference, red is worse.

    The colours are symmetric about 0, and full where nine cells of ten are inside; the numbers are
    written in the cells. Who has diverged there has a cell without a number.
    """
    known = np.abs(scores[np.isfinite(scores)])
    full = float(np.quantile(known, 0.9)) if np.any(known) else 1.0
    full = full or float(np.max(known))

    rows, columns = [label(name) for name in names], [label(task) for task in tasks]
    width = 1.3 + inches(rows) + 0.5 * len(tasks) + 0.5 * inches(columns)
    tall = max(1.9, 0.26 * len(names))  # the bar has a long legend
    with picture(path, width, 0.3 + 0.7 * inches(columns) + tall) as figure:
        axes: Any = figure.subplots()
        axes.set_facecolor("#EDEDED")
        shown = np.ma.masked_invalid(scores)
        image: Any = axes.imshow(shown, cmap="RdBu", vmin=-full, vmax=full, aspect="auto")
        for (row, column), score in np.ndenumerate(scores):
            said = signed(score, 2) if math.isfinite(score) else "div."
            deep = math.isfinite(score) and abs(score) > 0.65 * full
            ink = "white" if deep else "#303030"
            axes.text(column, row, said, ha="center", va="center", fontsize=7, color=ink)

        axes.xaxis.tick_top()
        axes.set_xticks(range(len(tasks)), columns, rotation=40, ha="left", rotation_mode="anchor")
        axes.set_yticks(range(len(names)), rows)
        axes.set_xticks(np.arange(len(tasks) - 1) + 0.5, minor=True)
        axes.set_yticks(np.arange(len(names) - 1) + 0.5, minor=True)
        axes.grid(which="minor", color="white", linewidth=1.2)
        axes.tick_params(which="both", length=0)
        axes.spines[:].set_visible(False)

        beyond = "both" if np.any(known > full) else "neither"
        bar: Any = figure.colorbar(image, ax=axes, extend=beyond, aspect=tall / 0.16, pad=0.02)
        bar.set_label("log(loss of the reference / loss)")
        bar.outline.set_visible(False)


def rates(curves: Mapping[str, Mapping[str, Curve]], path: Path | str) -> None:
    """Draw the final loss over learning rates, a panel for each task.

    curves: for each task and optimizer, learning rates and log losses; those that are no number are
    crosses at the top. A dot marks the best rate. What is far above the better half of a panel is
    cut off, because the valley is what one looks for.
    """
    columns = min(3, max(1, len(curves)))
    lines = max(1, math.ceil(len(curves) / columns))
    names = list(dict.fromkeys(name for panel in curves.values() for name in panel))

    across = max(1, min(len(names), int(WIDTH / (0.55 + inches(label(name) for name in names)))))
    with picture(path, WIDTH, 0.4 + 1.75 * lines + 0.17 * math.ceil(len(names) / across)) as figure:
        panels: Any = figure.subplots(lines, columns, squeeze=False)
        handles: dict[str, Any] = {}
        for axes, task in zip(panels.flat, curves, strict=False):
            bottom, top = _window([losses for _, losses in curves[task].values()])
            for name, (at, losses) in curves[task].items():
                style, sound = look(names.index(name)), np.isfinite(losses)
                [handles[name]] = axes.plot(at, np.where(sound, losses, np.nan), **style)
                if not np.all(sound):
                    broken = np.full(np.sum(~sound), top)
                    axes.plot(at[~sound], broken, "x", color=style["color"], clip_on=False)
                if np.any(sound):
                    best = int(np.nanargmin(np.where(sound, losses, np.nan)))
                    axes.plot(at[best], losses[best], "o", color=style["color"])
            axes.set_xscale("log")
            plain_numbers(axes.xaxis)
            axes.set_ylim(bottom, top)
            axes.set_title(label(task), loc="left")
        for axes in panels.flat[len(curves) :]:
            axes.set_visible(False)

        figure.supxlabel("learning rate", fontsize=8.5)
        figure.supylabel("log loss", fontsize=8.5)
        said = [label(name) for name in handles]
        place = {"loc": "outside upper center", "ncols": across, "handlelength": 2.6}
        figure.legend(handles.values(), said, **place)


def _window(losses: Sequence[Float[np.ndarray, " point"]]) -> tuple[float, float]:
    """Return the lowest and highest loss of a panel: four times as high as its better half."""
    known = np.concatenate([row[np.isfinite(row)] for row in losses])
    if len(known) == 0:
        return 0.0, 1.0
    low, middle, high = np.quantile(known, (0.0, 0.5, 1.0))
    high = min(high, low + 4 * (middle - low)) if middle > low else high
    room = 0.06 * (high - low) or 0.5
    return float(low - room), float(high + room)
