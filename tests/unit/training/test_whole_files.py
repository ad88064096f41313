"""Files appear whole; what killed writers leave is removed, what others are writing is not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ov3d_perception.errors import DataError
from ov3d_trainer.whole_files import disk_errors, remove_leftovers, replace_link, written_whole


def test_file_has_its_name_only_when_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.bin"
    with written_whole(path) as temporary:
        temporary.write_bytes(b"half")
        assert not path.exists()
    assert path.read_bytes() == b"half"
    assert [one.name for one in path.parent.iterdir()] == ["a.bin"]


def test_failed_writer_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")

    def write_half() -> None:
        with written_whole(path) as temporary:
            temporary.write_bytes(b"half")
            raise ValueError("no more")

    with pytest.raises(ValueError, match="no more"):
        write_half()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_leftover_of_a_dead_writer_is_removed_and_that_of_a_living_one_stays(tmp_path: Path) -> None:
    (tmp_path / ".a.npz.00ff12.tmp").write_bytes(b"half")  # nobody holds its lock any more
    (tmp_path / ".a.npz.4711.tmp").write_bytes(b"of an earlier version")
    (tmp_path / ".mine.tmp").write_bytes(b"not ours")
    (tmp_path / "b.npz").write_bytes(b"whole")
    with written_whole(tmp_path / "c.npz") as temporary:
        temporary.write_bytes(b"in the making")
        assert remove_leftovers(tmp_path) == 2
        assert temporary.read_bytes() == b"in the making"
    assert sorted(path.name for path in tmp_path.iterdir()) == [".mine.tmp", "b.npz", "c.npz"]


def test_two_writers_of_one_file_do_not_meet(tmp_path: Path) -> None:
    with written_whole(tmp_path / "a") as first, written_whole(tmp_path / "a") as second:
        first.write_bytes(b"first")
        second.write_bytes(b"second")
    assert (tmp_path / "a").read_bytes() == b"first"  # the outer block ends last
    assert len(list(tmp_path.iterdir())) == 1


def test_what_the_disk_refuses_names_the_file(tmp_path: Path) -> None:
    def write_on_a_full_disk() -> None:
        with disk_errors(tmp_path / "a.bin"):
            raise OSError(28, os.strerror(28))

    with pytest.raises(DataError, match=r"a\.bin: cannot be written \(No space left on device\)\. Free space"):
        write_on_a_full_disk()
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DataError, match="cannot be written"), written_whole(tmp_path / "file" / "a.bin"):
        pass


def test_link_is_replaced_and_relative(tmp_path: Path) -> None:
    replace_link(tmp_path / "latest", "first")
    replace_link(tmp_path / "latest", "second")
    assert os.readlink(tmp_path / "latest") == "second"
    assert len(list(tmp_path.iterdir())) == 1
