"""The peers' virtual environment, apart from Celeriac's, made at first use."""

from __future__ import annotations

import json
import subprocess
import sys
import venv
from collections.abc import Sequence
from pathlib import Path

from benchmarks.errors import BenchmarkError
from benchmarks.stand import CHECKOUT

FOLDER = CHECKOUT / ".venv-peers"
REQUIREMENTS = (
    "celery[redis]==5.7.*",
    "dramatiq[redis,rabbitmq]",
    "huey",
    "taskiq",
    "taskiq-redis",
    "hiredis",
    "uvloop",
)
"""Each system with the accelerators that it can use."""
PEER_DISTRIBUTIONS = (
    "celery",
    "kombu",
    "amqp",
    "dramatiq",
    "pika",
    "huey",
    "taskiq",
    "taskiq-redis",
    "redis",
    "hiredis",
    "uvloop",
)
OUR_DISTRIBUTIONS = ("celeriac", "msgspec", "pamqp", "redis", "hiredis", "uvloop")


def interpreter() -> Path:
    """The interpreter of the peers' environment, which is made when it is missing."""
    python = FOLDER / "bin" / "python"
    complete = FOLDER / "complete"
    if not complete.exists():
        print(f"Making the peers' virtual environment in {FOLDER.name} ...", flush=True)
        venv.create(FOLDER, clear=True, with_pip=True)
        command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *REQUIREMENTS]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise BenchmarkError(f"the peers cannot be installed into {FOLDER}:\n{done.stderr}")
        complete.touch()
    return python


def ours() -> Path:
    """The interpreter that runs the harness, which has Celeriac installed."""
    return Path(sys.executable)


def versions(python: Path, distributions: Sequence[str]) -> dict[str, str]:
    """The installed versions of `distributions` for the interpreter `python`; those that are missing are left out."""
    program = (
        "import importlib.metadata as m, json, sys\n"
        "found = {d.metadata['Name'].lower().replace('_', '-'): d.version for d in m.distributions()}\n"
        "print(json.dumps({name: found[name] for name in sys.argv[1:] if name in found}))"
    )
    done = subprocess.run([python, "-c", program, *distributions], capture_output=True, text=True, check=False)
    if done.returncode:
        raise BenchmarkError(f"{python} does not run:\n{done.stderr}")
    found: dict[str, str] = json.loads(done.stdout)
    return found
