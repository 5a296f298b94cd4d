"""The handwritten digits that scikit-learn carries, as the tasks here see them."""

import functools
from typing import Any

import numpy as np

from proxy_tasks.data.carried import table
from proxy_tasks.kit.parts import frozen, split_rows

# Of the shuffle before the cut. Any constant would do, this one is the number of images.
SPLIT_SEED = 1797
TRAIN_ROWS = 1078
LICENCE = (
    "scikit-learn's bundled digits: 1,797 images of 8x8 pixels, the test set of UCI's Optical "
    "Recognition of Handwritten Digits (E. Alpaydin, C. Kaynak 1998), CC BY 4.0"
)


@functools.cache
def digits() -> dict[str, Any]:
    """Return the parts, each {"image": f32[row, 8, 8] in [0, 1], "label": i32[row]}."""
    rows_of_pixels = table("digits.csv.gz", ",")
    images, labels = rows_of_pixels[:, :-1].reshape(-1, 8, 8), rows_of_pixels[:, -1]
    return {
        part: {
            "image": frozen(images[rows] / 16, np.float32),
            "label": frozen(labels[rows], np.int32),
        }
        for part, rows in split_rows(len(labels), SPLIT_SEED).items()
    }
