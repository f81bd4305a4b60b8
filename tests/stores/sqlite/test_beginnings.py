"""Many who open the store for the first time at the same moment."""

from __future__ import annotations

import threading
from functools import partial
from pathlib import Path

from celeriac.stores.sqlite import results
from celeriac.stores.sqlite.file import StoreFile


def test_any_number_may_make_the_file_at_the_same_moment(tmp_path: Path) -> None:
    failures: list[BaseException] = []

    def open_and_read(path: Path, gate: threading.Barrier) -> None:
        file = StoreFile(path)
        gate.wait()
        try:
            file.read(partial(results.read, task_ids=["a"]), 5.0)
        except BaseException as error:
            failures.append(error)
        finally:
            file.close()

    for number in range(30):
        gate = threading.Barrier(4)
        path = tmp_path / f"store-{number}.sqlite3"
        threads = [threading.Thread(target=open_and_read, args=(path, gate)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert failures == []
