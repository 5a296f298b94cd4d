"""Ray of our own: nobody else enters its folder, which stays while its driver lives; and nodes with
other software than the driver are not used.
"""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from evolve.environment import fingerprint, software
from evolve.record.lock import Lock
from evolve.workers.clock import AwakeClock
from evolve.workers.errors import WorkerFailure
from evolve.workers.ray_actors import BAD_STARTS, Cluster, _Actor
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


@pytest.fixture
def cluster(tmp_path) -> Cluster:
    """As it is before the first actor has answered, without Ray."""
    made = Cluster.__new__(Cluster)
    made.log, made.fingerprint, made.failed_starts = tmp_path / "log", None, 0
    made.flying, made.clock = {}, AwakeClock()
    made.ray = SimpleNamespace(kill=lambda handle: None)
    made.actors = [_Actor(None), _Actor(None)]
    return made


@pytest.mark.parametrize("fact", sorted(software()))
def test_a_node_with_other_software_than_the_driver_is_not_used(cluster, fact):
    first, second = cluster.actors
    cluster.begin(first, fingerprint() | {fact: "another"})
    assert (cluster.actors, cluster.fingerprint) == ([second], None)
    said = cluster.log.read_text()
    assert f"other software or hardware than the driver ({fact}: " in said
    cluster.begin(second, fingerprint())
    assert second.ready
    for _ in range(3 * BAD_STARTS):  # the others go on without it
        cluster.actors.append(_Actor(None))
        cluster.begin(cluster.actors[-1], fingerprint() | {"processor": "another"})
    assert cluster.actors == [second]
    assert "than the first one (processor: " in cluster.log.read_text()


def test_a_cluster_of_which_no_node_can_be_used_is_given_up(cluster):
    def answered(actors: int) -> None:
        for _ in range(actors):
            cluster.begin(cluster.actors[0], fingerprint() | {"numpy": "another"})
            cluster.actors.append(_Actor(None))

    with pytest.raises(WorkerFailure, match=r"cannot be started on the Ray cluster: .*\(numpy: "):
        answered(3 * BAD_STARTS)
