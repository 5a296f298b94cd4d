"""The folder of a Ray of our own: nobody else enters it, and it stays while its driver lives."""

from __future__ import annotations

import pytest

from evolve.record.lock import Lock
from evolve.workers.ray_session import LOCK, PLACE, _Place, _remove_if_left


def test_its_folder_is_closed_whatever_ray_does_inside():
    place = _Place()
    place.ray.mkdir()
    place.ray.chmod(0o777)  # as Ray does
    assert place.folder.stat().st_mode & 0o777 == 0o700
    assert (place.folder / LOCK).stat().st_mode & 0o777 == 0o600
    _remove_if_left(place.folder)
    assert place.ray.is_dir(), "its driver lives"
    place.remove()
    assert not place.folder.exists()


@pytest.mark.parametrize(
    ("kind", "stays"),
    [("of a dead driver", False), ("of a live one", True), ("another's", True), ("a link", True)],
)
def test_what_drivers_left_is_removed_and_nothing_else(kind, stays, tmp_path):
    """The number of a process would say nothing: it may count in another container."""
    folder = tmp_path / f"{PLACE}1"
    inside = tmp_path / "precious" if kind == "a link" else folder
    inside.mkdir()
    if kind == "a link":
        folder.symlink_to(inside)
    lock = Lock(inside / LOCK) if kind != "another's" else None
    if lock and kind != "of a live one":
        lock.release()
    _remove_if_left(folder)
    assert inside.is_dir() == stays
    if lock:
        lock.release()
