"""The cache of encoded texts: asks once, survives restarts, other writers and rotten files."""

import logging
import os
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from ov3d_perception.errors import QueryError
from ov3d_perception.text.cache import CachedEncoder


class CountingEncoder:
    """Remembers what it was asked; vectors tell texts apart by their length."""

    space, dim, supports_templates = "test", 4, True

    def __init__(self) -> None:
        self.asked: list[str] = []

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        self.asked += texts
        if "unknown" in texts:
            raise QueryError("unknown word")
        rows = np.array([[len(text), 1.0, 2.0, 3.0] for text in texts], dtype=np.float32).reshape(-1, 4)
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_a_text_is_encoded_once_even_when_it_is_asked_for_twice() -> None:
    encoder = CountingEncoder()
    cached = CachedEncoder(encoder, digest="w")
    first = cached.encode(["car", "tree", "car"])
    second = cached.encode(["tree"])
    assert encoder.asked == ["car", "tree"]
    np.testing.assert_array_equal(first, CountingEncoder().encode(["car", "tree", "car"]))
    np.testing.assert_array_equal(first[1], second[0])
    assert (first.dtype, cached.encode([]).shape) == (np.float32, (0, 4))
    assert (cached.space, cached.dim, cached.supports_templates) == ("test", 4, True)


def test_answers_can_be_changed_without_changing_the_cache() -> None:
    cached = CachedEncoder(CountingEncoder(), digest="w")
    cached.encode(["car"])[:] = 0.0
    np.testing.assert_array_equal(cached.encode(["car"]), CountingEncoder().encode(["car"]))


def test_failed_text_is_asked_again_and_harms_no_other() -> None:
    encoder = CountingEncoder()
    cached = CachedEncoder(encoder, digest="w")
    for _ in range(2):
        with pytest.raises(QueryError):
            cached.encode(["unknown"])
    assert encoder.asked == ["unknown", "unknown"]
    assert cached.encode(["car"]).shape == (1, 4)


def test_memory_forgets_what_was_not_asked_for_longest() -> None:
    encoder = CountingEncoder()
    cached = CachedEncoder(encoder, digest="w", memory_entries=2)
    for text in ("a", "bb", "a", "ccc", "a", "bb"):
        cached.encode([text])
    assert encoder.asked == ["a", "bb", "ccc", "bb"]


def test_more_texts_than_memory_holds_are_answered() -> None:
    cached = CachedEncoder(CountingEncoder(), digest="w", memory_entries=1)
    texts = ["a", "bb", "ccc"]
    np.testing.assert_array_equal(cached.encode(texts), CountingEncoder().encode(texts))


def test_texts_survive_a_restart_on_disk(tmp_path: Path) -> None:
    expected = CachedEncoder(CountingEncoder(), digest="w", folder=tmp_path / "new" / "cache").encode(["car"])
    fresh = CountingEncoder()
    restarted = CachedEncoder(fresh, digest="w", folder=tmp_path / "new" / "cache")
    np.testing.assert_array_equal(restarted.encode(["car"]), expected)
    assert fresh.asked == []


@pytest.mark.parametrize("changed", ["weights", "space"])
def test_other_weights_and_spaces_do_not_share_entries(tmp_path: Path, changed: str) -> None:
    CachedEncoder(CountingEncoder(), digest="old", folder=tmp_path).encode(["car"])
    fresh = CountingEncoder()
    fresh.space = "other" if changed == "space" else fresh.space
    CachedEncoder(fresh, digest="new" if changed == "weights" else "old", folder=tmp_path).encode(["car"])
    assert fresh.asked == ["car"]


def rotten_files() -> dict[str, object]:
    return {
        "cut": lambda path: path.write_bytes(path.read_bytes()[:-3]),
        "text": lambda path: path.write_bytes(b"rot" * 50),
        "empty": lambda path: path.write_bytes(b""),
        "width": lambda path: np.save(path, np.full(5, 5**-0.5, dtype=np.float32)),
        "kind": lambda path: np.save(path, np.full(4, 0.5)),
        "nan": lambda path: np.save(path, np.full(4, np.nan, dtype=np.float32)),
        "length": lambda path: np.save(path, np.full(4, 3.0, dtype=np.float32)),
        "object": lambda path: np.save(path, np.array([{}], dtype=object), allow_pickle=True),
    }


@pytest.mark.parametrize("fault", rotten_files())
def test_rotten_file_is_ignored_and_written_again(tmp_path: Path, fault: str) -> None:
    expected = CachedEncoder(CountingEncoder(), digest="w", folder=tmp_path).encode(["car"])
    (path,) = tmp_path.glob("*.npy")
    rotten_files()[fault](path)
    fresh = CountingEncoder()
    np.testing.assert_array_equal(CachedEncoder(fresh, digest="w", folder=tmp_path).encode(["car"]), expected)
    assert fresh.asked == ["car"]
    np.testing.assert_array_equal(np.load(path, allow_pickle=False), expected[0])


def test_folder_stays_bounded_and_keeps_what_was_read_last(tmp_path: Path) -> None:
    cached = CachedEncoder(CountingEncoder(), digest="w", folder=tmp_path, disk_entries=10)
    cached.encode(["first"])
    (first,) = tmp_path.glob("*.npy")
    for number in range(30):
        cached.encode(["x" * (number + 10)])
        for age, path in enumerate(sorted(tmp_path.glob("*.npy"), key=lambda entry: entry.stat().st_mtime)):
            os.utime(path, (1000 + age, 1000 + age))  # file systems count time too coarsely for this test
        CachedEncoder(CountingEncoder(), digest="w", folder=tmp_path, disk_entries=10).encode(["first"])
        assert len(list(tmp_path.glob("*.npy"))) <= 10
    assert first.is_file()


def test_other_files_in_the_folder_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.npy").write_bytes(b"mine")
    (tmp_path / ".ov3d-text-dead").write_bytes(b"left by a writer that died")
    (tmp_path / ".ov3d-text-live").write_bytes(b"being written")
    os.utime(tmp_path / ".ov3d-text-dead", (0, 0))
    cached = CachedEncoder(CountingEncoder(), digest="w", folder=tmp_path, disk_entries=1)
    cached.encode(["a", "bb", "ccc"])
    names = {path.name for path in tmp_path.iterdir()}
    assert {"mine.npy", ".ov3d-text-live"} <= names
    assert ".ov3d-text-dead" not in names


def test_folder_that_cannot_be_written_costs_a_warning_and_no_answer(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    with caplog.at_level(logging.WARNING):
        cached = CachedEncoder(CountingEncoder(), digest="w", folder=blocked)
        assert cached.encode(["car", "tree"]).shape == (2, 4)
        assert cached.encode(["pole"]).shape == (1, 4)
    assert len([record for record in caplog.records if "cannot be written" in record.message]) == 1


def test_writers_at_the_same_time_never_show_half_a_file(tmp_path: Path) -> None:
    texts = ["x" * count for count in range(1, 9)]
    expected = CountingEncoder().encode(texts)
    wrong: list[object] = []

    def work() -> None:
        end = time.monotonic() + 0.3
        while time.monotonic() < end:
            cached = CachedEncoder(CountingEncoder(), digest="w", folder=tmp_path, disk_entries=4)
            try:
                if not np.array_equal(cached.encode(texts), expected):
                    wrong.append("other vectors")
            except Exception as error:
                wrong.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]
