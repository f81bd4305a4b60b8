"""Where the file is, and where it may be."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from celeriac.exceptions import BrokerUnreachable, ImproperlyConfigured
from celeriac.stores.sqlite import place
from celeriac.stores.sqlite.place import embedded_path, network_filesystem, prepare

LOCAL = "/dev/vda / ext4 rw 0 0"


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("CELERIAC_STORE", raising=False)
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


def test_the_file_is_named_after_the_application_in_the_state_folder(tmp_path: Path) -> None:
    assert embedded_path("shop") == tmp_path / ".local/state/celeriac/shop.sqlite3"


def test_the_state_folder_may_be_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "/var/state")
    assert embedded_path("shop") == Path("/var/state/celeriac/shop.sqlite3")


def test_a_relative_state_folder_is_ignored_as_its_specification_says(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "state")
    assert embedded_path("shop").is_relative_to(tmp_path)


def test_the_setting_names_the_file() -> None:
    assert embedded_path("shop", "/srv/queue.db") == Path("/srv/queue.db")
    assert embedded_path(None, "/srv/queue.db") == Path("/srv/queue.db")


def test_the_environment_comes_before_the_setting(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CELERIAC_STORE", "~/other.db")
    assert embedded_path("shop", "/srv/queue.db") == tmp_path / "other.db"


@pytest.mark.parametrize("name", [None, "", "__main__"])
def test_an_application_without_a_name_of_its_own_is_told_to_choose_one(name: str | None) -> None:
    with pytest.raises(ImproperlyConfigured, match="store_path"):
        embedded_path(name)


@given(st.text(min_size=1).filter(lambda name: name != "__main__"), st.text(min_size=1))
def test_every_name_gives_one_file_of_its_own_in_the_folder(one: str, other: str) -> None:
    try:
        path = embedded_path(one)
    except UnicodeEncodeError:
        return
    assert path.parent.name == "celeriac"
    assert "/" not in path.name
    assert path.name not in (".", "..")
    if other not in (one, "__main__"):
        try:
            assert embedded_path(other) != path
        except UnicodeEncodeError:
            return


def test_only_this_user_can_read_the_file_and_its_folder(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "store.sqlite3"
    prepare(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_an_existing_file_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite3"
    path.write_bytes(b"what is there")
    prepare(path)
    assert path.read_bytes() == b"what is there"


def test_a_folder_in_the_files_place_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ImproperlyConfigured, match="is a folder"):
        prepare(tmp_path)


def test_a_file_in_the_folders_place_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BrokerUnreachable, match="store_path"):
        prepare(tmp_path / "file" / "store.sqlite3")


def test_a_network_file_system_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(f"{LOCAL}\nserver:/home {tmp_path} nfs4 rw 0 0\n")
    monkeypatch.setattr(place, "_MOUNTS", mounts)
    with pytest.raises(ImproperlyConfigured, match="nfs4"):
        prepare(tmp_path / "store.sqlite3")


@pytest.mark.parametrize(
    ("mounts", "folder", "kind"),
    [
        ([LOCAL], "/home/me", None),
        ([LOCAL, "s:/ /home nfs rw 0 0"], "/home/me", "nfs"),
        ([LOCAL, "s:/ /home nfs rw 0 0"], "/homes/me", None),
        ([LOCAL, "s:/ /home nfs rw 0 0", "tmpfs /home/me tmpfs rw 0 0"], "/home/me", None),
        ([LOCAL, "tmpfs /home tmpfs rw 0 0", "s:/ /home cifs rw 0 0"], "/home", "cifs"),
        (["s:/ / nfs rw 0 0"], "/", "nfs"),
        ([LOCAL, "s:/ /my\\040home fuse.sshfs rw 0 0"], "/my home/x", "fuse.sshfs"),
        ([], "/", None),
    ],
)
def test_the_mount_that_holds_the_folder_decides(mounts: list[str], folder: str, kind: str | None) -> None:
    assert network_filesystem(Path(folder), mounts) == kind


def test_this_machines_mounts_are_read() -> None:
    assert network_filesystem(Path(os.sep)) is None or os.path.exists("/proc/self/mounts")
