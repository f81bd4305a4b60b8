"""Real Celery beside ours: its environment, its workers, its client."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

from tests.faults.ledger import Ledger
from tests.faults.processes import WorkerProcess, wait_until
from tests.interop.tasks import QUEUE

__all__ = ["Bench", "CeleryClient", "RemoteError", "peers_python"]

REPOSITORY: Final = Path(__file__).parents[2]
PACKAGES: Final = ("celery[redis]==5.7.*", "hiredis")


def peers_python() -> Path:
    """The interpreter that has Celery 5.7: ``$CELERIAC_PEERS_PYTHON``, or one made in ``.venv-peers`` once."""
    if given := os.environ.get("CELERIAC_PEERS_PYTHON"):
        return Path(given)
    folder = REPOSITORY / ".venv-peers"
    python = folder / "bin" / "python"
    complete = folder / "complete"
    if not complete.exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", *PACKAGES], check=True)
        complete.touch()
    return python


class RemoteError(Exception):
    """Celery's client raised.

    Attributes:
        kind: the exception's type.
    """

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(f"{kind}: {text}")
        self.kind = kind
        self.text = text


class CeleryClient:
    """A process with Celery's client in it."""

    def __init__(self, environment: dict[str, str], log: Path) -> None:
        self._log = log.open("ab")
        self._process = subprocess.Popen(
            [str(peers_python()), "-m", "tests.interop.client"],
            env={**os.environ, **environment},
            cwd=REPOSITORY,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )

    def ask(self, do: str, **arguments: Any) -> Any:
        """Ask for something and wait for the answer.

        Raises:
            RemoteError: what it raised there.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"do": do, **arguments}) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, "Celery's client has died"
        answer = json.loads(line)
        if "error" in answer:
            raise RemoteError(answer["error"], answer["text"])
        return answer["value"]

    def send(self, task: str, *args: Any, **options: Any) -> str:
        """Send a task; returns its id."""
        kwargs = options.pop("kwargs", {})
        return str(self.ask("send", task=task, args=list(args), kwargs=kwargs, options=options))

    def get(self, task_id: str, timeout: float = 20.0) -> Any:
        """Its result."""
        return self.ask("get", task_id=task_id, timeout=timeout)

    def close(self) -> None:
        """End the process."""
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()
        self._process.wait(10)
        self._log.close()


class Bench:
    """One Redis, workers and clients of both kinds.

    Attributes:
        ledger: what the tasks write.
        environment: of all processes.
    """

    def __init__(self, url: str, folder: Path, **environment: object) -> None:
        self.folder = folder
        self.ledger = Ledger(folder / "ledger")
        self.environment = {
            "INTEROP_URL": url,
            "LEDGER": str(self.ledger.path),
            **{name: str(value) for name, value in environment.items()},
        }
        self._workers: list[WorkerProcess] = []
        self._clients: list[CeleryClient] = []

    def celeriac_worker(self, *arguments: str) -> WorkerProcess:
        """Start a worker of ours."""
        return self._started(WorkerProcess(
            "tests.interop.ours", self.environment, "-n", f"ours{len(self._workers)}@here", *arguments, log=self._log()
        ).ready())  # fmt: skip

    def celery_worker(self, *arguments: str) -> WorkerProcess:
        """Start a worker of Celery's."""
        worker = WorkerProcess(
            "tests.interop.theirs",
            self.environment,
            "-n",
            f"theirs{len(self._workers)}@here",
            "--without-mingle",
            *arguments,
            log=self._log(),
            python=str(peers_python()),
            module="celery",
        )
        self._started(worker)
        return worker.ready(60)

    def _log(self) -> Path:
        return self.folder / f"worker-{len(self._workers)}.log"

    def _started(self, worker: WorkerProcess) -> WorkerProcess:
        self._workers.append(worker)
        return worker

    def celery_client(self) -> CeleryClient:
        """Start a client of Celery's."""
        client = CeleryClient(self.environment, self.folder / "client.log")
        self._clients.append(client)
        return client

    def count(self, where: str) -> int:
        """How many messages of the queue are ``ready``, ``held`` or ``in_flight``."""
        from tests.interop.ours import app

        async def ask() -> int:
            store = app.connections.make()
            await store.open()
            try:
                return int(getattr((await store.counts([QUEUE]))[QUEUE], where))
            finally:
                await store.close()

        return asyncio.run(ask())

    def close(self) -> None:
        """End all of it."""
        for client in self._clients:
            client.close()
        for worker in self._workers:
            worker.end()

    def wait_for(self, kind: str, count: int, timeout: float = 20.0) -> None:
        """Wait until the ledger has so many events of that kind."""
        wait_until(lambda: len(self.ledger.events(kind)) >= count, timeout, f"{count} times {kind}")
