"""One program against another, seed by seed: `evolve score A B --seeds 50 --json | python
tests/benchmarks/paired.py`.

Prints the mean difference of the first two that were scored, and its 95 % bootstrap interval over
the seeds.
"""

import json
import statistics
import sys

from evolve.comparison.statistics import interval

if __name__ == "__main__":
    first, second, *_ = json.load(sys.stdin)["verdicts"]
    differences = [a - b for a, b in zip(first["scores"], second["scores"], strict=True)]
    low, high = interval(differences, 0.95)
    print(
        f"{first['name']} - {second['name']}: {statistics.fmean(differences):+.4f} ({low:+.4f} "
        f"to {high:+.4f})"
    )
