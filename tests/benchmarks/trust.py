"""Whether what a search spares itself was worth nothing: `python tests/benchmarks/trust.py RUN`,
RUN a run's folder.

Questions to the journal of a finished run, answered by training what the search did not train:

- identity: how many candidates were known already, how many statements were dead, and whether
programs with one key
  have one score;
- cheap rejections: how many there were, and how many of them would have scored above the median.

A pair that is merged and differs in float32 is trained again in float64: where two programs are
one, rounding alone tells them apart, and the difference shrinks with it.
"""

from __future__ import annotations

import math
import statistics
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from evolve.environment import pin

pin()

import jax  # noqa: E402
import numpy as np  # noqa: E402
from measure import Figure  # noqa: E402

from evolve.record.folder import RunFolder  # noqa: E402
from evolve.record.journal import Journal  # noqa: E402
from evolve.running.facts import Plan  # noqa: E402
from evolve.scoring.loops import machine_loop  # noqa: E402
from evolve.scoring.references import reference  # noqa: E402
from evolve.scoring.trial import Runner, Trials  # noqa: E402
from primitives import Program, parse  # noqa: E402
from primitives.canonical.graph import graph  # noqa: E402
from primitives.canonical.liveness import live_statements, prune  # noqa: E402
from primitives.machine import step as machine  # noqa: E402
from proxy_tasks.task import LEAST_LOSS  # noqa: E402

LION = {
    "known already": 89.1,
    "dead statements": 69.8,
}  # percent; Chen et al. 2023, arXiv:2302.06675
EQUAL = 1e-6  # scores of a pair in float64 that differ by less are one score
SEED = "0:trust:0"
PAIRS, REJECTED = 10_000, 4_000  # that are trained


@dataclass
class Sample:
    """What is drawn from a journal."""

    count: int
    statuses: Counter[str]
    reasons: Counter[str]
    dead: float  # share of statements
    same: int  # pairs taken for one program whose texts are one, without what is dead
    pairs: list[tuple[str, str]]  # texts that differ and were taken for one program
    rejected: list[tuple[str, str]]  # reason, text
    scored: list[float]  # in the first seed, of all that were scored


def sample(journal: Journal) -> Sample:
    """One pass over the rows, and one over those that are drawn from them."""
    rng = np.random.Generator(np.random.Philox(key=0))
    statuses: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    merged, refused, texts, scored, shares = [], [], [], [], []
    for row in journal.rows():
        statuses[row.status] += 1
        reasons[row.reason] += 1
        outcome = row.restored()
        if outcome is not None and outcome.scores:
            scored.append(statistics.fmean(outcome.scores[0]))
        if row.same_as is not None:
            merged.append((row.number, row.same_as))
        if row.reason:
            refused.append((row.reason, row.program))
        texts.append(row.program)
        if row.number % 16 == 0:
            program = parse(row.program)
            shares.append(
                (len(program.body) - len(live_statements(program)[0])) / len(program.body)
            )
    pairs, same = [], 0
    for pick in rng.permutation(len(merged)):
        one, other = (str(prune(parse(texts[n]))) for n in merged[pick])
        if one == other:
            same += 1
        else:
            pairs.append((one, other))
        if len(pairs) == PAIRS:
            break
    chosen = [refused[n] for n in rng.permutation(len(refused))[:REJECTED]]
    return Sample(
        sum(statuses.values()),
        statuses,
        reasons,
        statistics.fmean(shares),
        same,
        pairs,
        chosen,
        scored,
    )


def identity(drawn: Sample, all_trials: list[Trials]) -> Iterator[Figure]:
    """Known already, dead, and merged though they differ."""
    yield Figure("candidates", drawn.count, "")
    yield Figure("known already", 100 * drawn.statuses["cached"] / drawn.count, "%")
    yield Figure("known already, Lion", LION["known already"], "%")
    yield Figure("dead statements", 100 * drawn.dead, "%")
    yield Figure("dead statements, Lion", LION["dead statements"], "%")
    bits = rounding = wrong = 0
    doubles = [Wide(trials) for trials in all_trials]
    for one, other in drawn.pairs:
        programs = parse(one), parse(other)
        if all(same_code(*programs)):
            bits += 1  # one code, one result
            continue
        scores = [[score(trials, p) for trials in all_trials] for p in programs]
        if scores[0] == scores[1]:
            bits += 1
        elif all(
            abs(math.log(task.loss(programs[0]) / task.loss(programs[1]))) < EQUAL
            for task in doubles
        ):
            rounding += 1
        else:
            wrong += 1
            print(f"--- merged, and different: {scores}\n{one}\n{other}", file=sys.stderr)
    yield Figure("merged pairs that were compared", drawn.same + len(drawn.pairs), "")
    yield Figure("of these, one text without what is dead", drawn.same, "")
    yield Figure("of these, equal to the last bit", bits, "")
    yield Figure("of these, equal but for rounding", rounding, "")
    yield Figure("of these, false", wrong, "", bar=0.0, most=True)


def same_code(one: Program, other: Program) -> Iterator[bool]:
    """Whether the machine runs the same instructions for both, field by field."""
    try:
        codes = [machine.load(graph(program)) for program in (one, other)]
    except machine.DoesNotFit:
        yield False
        return
    for a, b in zip(*codes, strict=True):
        yield np.array_equal(a, b)


def rejections(drawn: Sample, all_trials: list[Trials]) -> Iterator[Figure]:
    """What the cheap tests stop, and what it would have been worth."""
    for reason, count in sorted(drawn.reasons.items()):
        if reason:
            yield Figure(f"rejected: {reason}", 100 * count / drawn.count, "%")
    median = statistics.median(drawn.scored)
    good = 0
    for _, text in drawn.rejected:
        good += statistics.fmean(score(trials, parse(text)) for trials in all_trials) > median
    yield Figure("rejected programs that were trained", len(drawn.rejected), "")
    if drawn.rejected:
        yield Figure(
            "of these, above the median", 100 * good / len(drawn.rejected), "%", bar=0.1, most=True
        )


def score(trials: Trials, program: Program) -> float:
    """In one seed; -inf where it diverges."""
    loss = trials.loss(program, SEED)
    return (
        math.log(trials.loss(reference("adamw", trials.task), SEED) / max(loss, LEAST_LOSS))
        if loss == loss
        else -math.inf
    )


class Wide:
    """The trials of one task in float64; constants stay those of float32."""

    def __init__(self, trials: Trials):
        self.trials = trials
        self.run = Runner(trials.task, machine_loop(trials.layout))
        begin = trials.begin(SEED)
        widened = jax.tree.map(
            lambda a: widen(a) if a.dtype == np.float32 else a, begin._replace(draws=None)
        )
        self.begin = widened._replace(draws=begin.draws)

    def loss(self, program: Program) -> float:
        """Final loss on the validation part; 1 where it diverges."""
        with jax.enable_x64(True):
            try:
                run, args = self.run, machine.load(graph(program), np.float64)
            except machine.DoesNotFit:
                run, args = self.trials.compiled(program)
            final, finite = run(args, self.begin, widen(self.trials.schedule))
            return (
                float(self.trials.evaluate(final, self.begin.data, part="validation"))
                if finite
                else 1.0
            )


def widen(array: jax.Array) -> np.ndarray:
    return np.asarray(array, np.float64)


def main(folder: str) -> None:
    """Print the figures."""
    run = RunFolder.open(folder)
    all_trials = [Trials(task) for task in Plan.from_folder(run).suite]
    journal = Journal(run.journal, read_only=True)
    began = time.perf_counter()
    drawn = sample(journal)
    for figures in (identity(drawn, all_trials), rejections(drawn, all_trials)):
        for figure in figures:
            met = {None: "", True: ", met", False: ", NOT MET"}[figure.met]
            print(
                f"{figure.name}: {figure.value:,.6g} {figure.unit} {figure.asked}{met}", flush=True
            )
    print(f"{time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main(*sys.argv[1:])
