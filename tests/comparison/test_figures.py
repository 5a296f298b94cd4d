"""Figures: the same bytes for the same numbers, strangers' names as they stand, nothing printed."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest

from evolve.comparison.profile import performance_profile
from evolve.reporting.canvas import label, look, signed
from evolve.reporting.figures import forest, heat, profiles, rates

ODD = "$\\nope$<&>\u202e--\n"  # no formula, marks of SVG, what turns text around
LONG = "long_" * 400
ROWS = [(ODD, 0.1, 0.05, 0.2), ("lion", -math.inf, -math.inf, -math.inf), (LONG, 0.0, -0.1, 0.1)]
SCORES = np.array([[0.1, math.nan], [-0.2, 0.0]])
CORNERS = performance_profile(np.array([1.0, 2.0, math.inf]))
SWEEP = np.array([1e-3, 1e-2, 1e-1]), np.array([0.5, 0.1, math.inf])
DRAWN = {
    "forest": lambda path: forest(ROWS, ODD, path),
    "profiles": lambda path: profiles({ODD: CORNERS, LONG: CORNERS}, path),
    "heat": lambda path: heat([ODD, LONG], [LONG, ODD], SCORES, path),
    "rates": lambda path: rates({ODD: {LONG: SWEEP, ODD: SWEEP}, LONG: {ODD: SWEEP}}, path),
}


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """Return a folder with all figures."""
    folder = tmp_path_factory.mktemp("figures")
    for name, draw in DRAWN.items():
        draw(folder / f"{name}.svg")
    return folder


@pytest.mark.parametrize("name", DRAWN)
def test_a_figure_shows_names_as_they_are_written(name, drawn):
    """Read as a formula, `$\\nope$` would be an error. An SVG says what its shapes spell."""
    text = (drawn / f"{name}.svg").read_text()
    ElementTree.fromstring(text)
    assert "$\\nope$&lt;&amp;&gt;\\u202e" in text
    assert "dc:date" not in text
    assert LONG not in text


def test_matplotlib_waits_until_something_is_drawn_needs_no_folder_and_writes_the_same_bytes(
    tmp_path, drawn
):
    """In another process, with another order of hashes and settings that cannot be followed."""
    code = """
import sys
from pathlib import Path
import test_figures as here
assert "matplotlib" not in sys.modules
for name, draw in reversed(here.DRAWN.items()):
    draw(Path(sys.argv[1]) / f"{name}.svg")
assert "matplotlib.pyplot" not in sys.modules
"""
    settings = {"MPLCONFIGDIR": "/dev/null/none", "MPLBACKEND": "module://none"}
    paths = os.pathsep.join([str(Path(__file__).parent), str(Path(__file__).parents[2])])
    env = os.environ | settings | {"PYTHONHASHSEED": "7", "PYTHONPATH": paths}
    command = [sys.executable, "-c", code, tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, env=env)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")

    for name in DRAWN:
        there = tmp_path / f"{name}.svg"
        assert there.read_bytes() == (drawn / there.name).read_bytes()


def test_the_ending_of_the_name_says_the_format(tmp_path):
    for ending, magic in ((".png", b"\x89PNG"), (".pdf", b"%PDF"), (".SVG", b"<?xml")):
        forest(ROWS[:1], "adamw", tmp_path / f"a{ending}")
        assert (tmp_path / f"a{ending}").read_bytes().startswith(magic)
    with pytest.raises(ValueError, match=r"ends in one of .svg, .png, .pdf: a.jpg"):
        forest(ROWS, "adamw", tmp_path / "a.jpg")


def test_odd_numbers_and_a_single_row_make_a_figure_too(tmp_path):
    nothing = np.array([math.nan])
    heat(["a"], ["t"], nothing[:, None], tmp_path / "a.svg")
    rates({"t": {"a": (np.array([0.1]), nothing)}}, tmp_path / "a.svg")
    forest([("a", 0.1, -math.inf, math.inf)], "b", tmp_path / "a.svg")
    profiles({"a": performance_profile(np.array([math.inf]))}, tmp_path / "a.svg")


def test_names_are_cut_and_characters_without_a_shape_are_escaped():
    assert label("x" * 30) == "xxxxxxxxxx...xxxxxxxxxx"
    assert label("β名") == "β\\u540d"


def test_numbers_have_their_sign_unless_they_round_to_zero():
    assert [signed(x, 2) for x in (0.126, -0.126, -0.001, 0.0)] == [
        "+0.13",
        "−0.13",
        "0.00",
        "0.00",
    ]


def test_twenty_eight_lines_look_different():
    assert len({str(look(number)) for number in range(28)}) == 28
