"""`docker compose up`: what it would run is run here, without Docker.

The services' own commands, health check and variables, on the files that the image is made of; only
addresses and folders are those of this machine. Where Docker is there, its reading of the file is
what counts.
"""

import csv
import json
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest

from tests.support.commands import environment
from tests.support.postgres import serving

ROOT = Path(__file__).resolve().parent.parent
FILE = ROOT / "docker-compose.yml"
DOCKERFILE = (ROOT / "Dockerfile").read_text("utf-8")
IGNORED = (ROOT / ".dockerignore").read_text("utf-8").splitlines()


# --- reading --------------------------------------------------------------------------------------


def read_yaml(text: str) -> dict[str, Any]:
    """As much of YAML as the file uses: nested mappings, lists of scalars, JSON in one line."""
    lines = [
        line for line in text.splitlines() if line.strip() and not line.strip().startswith("#")
    ]
    assert "\t" not in text
    value, rest = _block(lines, 0)
    assert rest == []
    assert isinstance(value, dict)
    return value


def _block(lines: list[str], depth: int) -> tuple[Any, list[str]]:
    """The mapping or list that *lines* begin with, *depth* spaces in, and the lines behind it."""
    mapping: dict[str, Any] = {}
    listed: list[Any] = []
    while lines and _depth(lines[0]) >= depth:
        assert _depth(lines[0]) == depth, lines[0]
        line, lines = lines[0].strip(), lines[1:]
        if line.startswith("- "):
            listed.append(_scalar(line.removeprefix("- ")))
            continue
        found = re.fullmatch(r"([\w.-]+):(?: (.+))?", line)
        assert found, line
        assert found[1] not in mapping, line
        if found[2]:
            mapping[found[1]] = _scalar(found[2])
        elif lines and _depth(lines[0]) > depth:
            mapping[found[1]], lines = _block(lines, _depth(lines[0]))
        else:
            mapping[found[1]] = None
    assert not (mapping and listed)
    return listed or mapping, lines


def _depth(line: str) -> int:
    return len(line) - len(line.lstrip(" "))


def _scalar(text: str) -> Any:
    if text[0] in '["{':
        return json.loads(text)
    # Anything else that a reader could take for more than a word is refused here.
    assert not re.search(r"^[&*!|>%@`'?]|: | #", text), text
    return json.loads(text) if text in ("true", "false") else text


def by_docker() -> dict[str, Any] | None:
    """The file as Docker reads it; None where there is no Docker with its compose plugin."""
    if shutil.which("docker") is None:
        return None
    docker = ["docker", "compose", "--file", str(FILE)]
    if subprocess.run([*docker, "version"], capture_output=True, check=False).returncode:
        return None
    told = subprocess.run(
        [*docker, "--profile", "*", "config", "--format", "json"],
        capture_output=True,
        check=True,
        text=True,
    )
    found: dict[str, Any] = json.loads(told.stdout)
    return found


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    """The whole file."""
    return by_docker() or read_yaml(FILE.read_text("utf-8"))


def mounts(service: dict[str, Any]) -> dict[str, str]:
    """Where the volumes of a service are within it, by their names."""
    pairs = [
        each.split(":") if isinstance(each, str) else (each["source"], each["target"])
        for each in service["volumes"]
    ]
    return {name.rpartition("_")[2]: folder for name, folder in pairs}


# --- the image ------------------------------------------------------------------------------------


def copied() -> list[tuple[str, str]]:
    """What the Dockerfile copies, and where to below the folder of the program."""
    found = re.findall(r"^COPY (.+) \./(\S*)$", DOCKERFILE, re.MULTILINE)
    assert len(found) == DOCKERFILE.count("COPY ")
    return [(source, target or source) for sources, target in found for source in sources.split()]


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the program, as it is in the image."""
    folder = tmp_path_factory.mktemp("image")
    for source, target in copied():
        if (ROOT / source).is_dir():
            shutil.copytree(ROOT / source, folder / target)
        else:
            shutil.copy(ROOT / source, folder / target)
    return folder


def test_the_image_is_made_of_what_is_named_and_of_nothing_else() -> None:
    """A checkout that was worked in holds answers, stores and perhaps a password."""
    patterns = [line for line in IGNORED if line and not line.startswith("#")]
    assert patterns[0] == "*"
    assert {line[1:] for line in patterns if line.startswith("!")} == {name for name, _ in copied()}
    hidden = [line.removeprefix("**/") for line in patterns if line.startswith("**/")]
    for name in ("runner-sim.db", "runner.db-wal", "runner.db.lock", ".env", "out", "__pycache__"):
        assert any(fnmatch(name, pattern) for pattern in hidden), name


def test_the_image_is_an_official_python_with_the_locked_packages_and_no_root() -> None:
    """What runs there is what the tests ran; a hole in it is not a hole in the machine."""
    assert re.search(r"^FROM python:3\.1[1-9]-slim$", DOCKERFILE, re.MULTILINE)
    assert "--require-hashes" in DOCKERFILE
    assert "--requirement requirements.lock" in DOCKERFILE
    lines = DOCKERFILE.splitlines()
    assert lines.index("USER runner") < lines.index('ENTRYPOINT ["python", "-m", "runner"]')
    assert "WORKDIR /data" in lines


# --- the services ---------------------------------------------------------------------------------


def test_the_run_waits_for_the_simulator_and_both_remember(compose: dict[str, Any]) -> None:
    """A store whose account has forgotten its tasks would wait for answers that never come."""
    alone = {name for name, each in compose["services"].items() if not each.get("profiles")}
    assert alone == {"simulator", "runner"}
    simulator, runner = compose["services"]["simulator"], compose["services"]["runner"]
    assert runner["depends_on"]["simulator"]["condition"] == "service_healthy"
    assert (mounts(simulator), mounts(runner)) == ({"account": "/data"}, {"workspace": "/data"})
    volumes = {name.rpartition("_")[2] for name in compose["volumes"]}
    assert volumes == {"account", "workspace", "db"}
    assert {service["image"] for service in (simulator, runner)} == {"dataforseo-llm-runner"}
    for service in (simulator, runner):
        assert service["init"] is True
        assert "entrypoint" not in service or service["entrypoint"] is None


def test_no_variable_of_the_file_is_a_secret_of_anybody(compose: dict[str, Any]) -> None:
    """The file is committed; and nobody's real login may go to a simulator."""
    variables = compose["services"]["runner"]["environment"]
    assert variables == {
        "DATAFORSEO_BASE_URL": "http://simulator:8801",
        "DATAFORSEO_LOGIN": "anybody",
        "DATAFORSEO_PASSWORD": "anything",
        "RUNNER_ALLOW_HTTP": "1",
    }
    assert not compose["services"]["simulator"].get("environment")


class Here:
    """The services on this machine: their words with its addresses and folders in them."""

    def __init__(self, compose: dict[str, Any], image: Path, folder: Path) -> None:
        self._services = compose["services"]
        self._image = image
        self._folder = folder
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._port = free.getsockname()[1]
        self.dsn = ""
        """Of the database that stands for the service ``db``."""

    def folder_of(self, service: str) -> Path:
        folder = self._folder / service
        folder.mkdir(exist_ok=True)
        return folder

    def put(self, text: str, service: str) -> str:
        """*text* with what is true here."""
        text = text.replace("http://simulator:", "http://127.0.0.1:").replace(
            "0.0.0.0", "127.0.0.1"
        )
        return text.replace("8801", str(self._port)).replace(
            "/data", self.folder_of(service).as_posix()
        )

    def words(self, words: list[str], service: str) -> list[str]:
        return [self.put(word, service) for word in words]

    def variables(self, service: str) -> dict[str, str]:
        given = self._services[service].get("environment") or {}
        told = {name: self.put(value, service) for name, value in given.items()}
        if "RUNNER_STORE" in told:
            told["RUNNER_STORE"] = self.dsn
        return environment(**told) | {"PYTHONPATH": str(self._image), "PYTHONSAFEPATH": "1"}

    def command(self, service: str, *more: str) -> list[str]:
        words = self.words(self._services[service]["command"], service)
        return [sys.executable, "-m", "runner", *words, *more]

    @contextmanager
    def up(self, service: str, *more: str) -> Iterator[None]:
        """The service, healthy, until the end of the block."""
        folder = self.folder_of(service)
        with (folder / "said").open("w") as said:
            process = subprocess.Popen(
                self.command(service, *more),
                cwd=folder,
                env=self.variables(service),
                stdout=said,
                stderr=said,
            )
            try:
                self._until_healthy(service)
                yield
            finally:
                process.terminate()
                assert process.wait(20) == 0, (folder / "said").read_text()

    def _until_healthy(self, service: str) -> None:
        check = self._services[service]["healthcheck"]
        kind, python, *words = self.words(check["test"], service)
        assert (kind, python) == ("CMD", "python")
        for _ in range(30 * int(check["retries"])):
            done = subprocess.run([sys.executable, *words], capture_output=True, check=False)
            if done.returncode == 0:
                return
            time.sleep(0.1)
        raise AssertionError(done.stderr.decode())

    @contextmanager
    def working(self, *services: str) -> Iterator[None]:
        """The services, which run until they are stopped."""
        processes = [
            subprocess.Popen(
                self.command(service),
                cwd=self.folder_of(service),
                env=self.variables(service),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            for service in services
        ]
        try:
            yield
        finally:
            for process in processes:
                process.terminate()
            assert [process.wait(30) for process in processes] == [143] * len(processes)

    def ask(self, service: str, *words: str) -> dict[str, Any]:
        """What another command says in the place of the service."""
        done = subprocess.run(
            [sys.executable, "-m", "runner", *words, "--json"],
            cwd=self.folder_of(service),
            env=self.variables(service),
            capture_output=True,
            timeout=100,
            check=False,
        )
        said: dict[str, Any] = json.loads(done.stdout)
        return said

    def at_work(self) -> int:
        """How many workers there are."""
        workers = self.ask("worker-1", "workers")["workers"]
        return sum(worker["state"] == "working" for worker in workers)

    def completed(self) -> int:
        """How many tasks of the first run have their answers."""
        states: dict[str, int] = self.ask("worker-1", "status")["runs"][0]["states"]
        return states["completed"]

    def run(self, service: str) -> subprocess.CompletedProcess[str]:
        """The service, to its end."""
        return subprocess.run(
            self.command(service),
            cwd=self.folder_of(service),
            env=self.variables(service),
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )


def test_it_shows_a_whole_run_and_another_start_has_nothing_to_do(
    compose: dict[str, Any], image: Path, tmp_path: Path
) -> None:
    """The first thing that somebody with Docker and without an account sees."""
    here = Here(compose, image, tmp_path)
    with here.up("simulator", "--latency", "50ms"):
        first = here.run("runner")
    assert first.returncode == 0, first.stderr
    exported = here.folder_of("runner") / "out" / "demo.csv"
    with exported.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 66
    assert {row["state"] for row in rows} == {"completed"}

    # Containers are stopped and started again; the volumes stay.
    with here.up("simulator", "--latency", "50ms"):
        again = here.run("runner")
    assert again.returncode == 0, again.stderr
    assert " done=66 " in again.stdout
    assert " calls=0 " in again.stdout


# --- the services on PostgreSQL -------------------------------------------------------------------

MANY = ("db", "load", "worker-1", "worker-2")


def test_two_workers_share_one_database_that_saves(compose: dict[str, Any]) -> None:
    """A copy of this file is what somebody begins a real installation with."""
    services = compose["services"]
    assert all(services[name]["profiles"] == ["many"] for name in MANY)
    options = " ".join(services["db"]["command"])
    for setting in ("fsync=on", "synchronous_commit=on", "full_page_writes=on"):
        assert f"-c {setting}" in options
    given = services["db"]["environment"]
    password, database = given["POSTGRES_PASSWORD"], given["POSTGRES_DB"]
    address = f"postgresql://{given['POSTGRES_USER']}:{password}@db:5432/{database}"
    for name in ("load", "worker-1", "worker-2"):
        assert services[name]["environment"]["RUNNER_STORE"] == address
        assert services[name]["image"] == "dataforseo-llm-runner"
    one, two = (dict(services[name]) for name in ("worker-1", "worker-2"))
    assert one == two
    assert mounts(services["db"]) == {"db": "/var/lib/postgresql/data"}


def test_the_image_has_what_speaks_to_postgresql() -> None:
    """It is an extra: without it the workers would end at once, saying what to install."""
    (script,) = re.findall(r"RUN awk '([^']+)' requirements-dev.lock > postgres.lock", DOCKERFILE)
    taken = subprocess.run(
        ["awk", script, ROOT / "requirements-dev.lock"], capture_output=True, text=True, check=True
    ).stdout
    names = re.findall(r"^([a-z-]+)==", taken, re.MULTILINE)
    assert names == ["psycopg", "psycopg-binary"]
    assert taken.count("--hash=sha256:") > 10
    assert "--requirement postgres.lock" in DOCKERFILE


def test_what_was_loaded_once_is_asked_once_by_two_workers(
    compose: dict[str, Any], image: Path, tmp_path: Path
) -> None:
    """The whole of it without Docker: a queue on PostgreSQL, two engines, one account."""
    here = Here(compose, image, tmp_path)
    with serving(durable=True) as server, server.database(empty=True) as here.dsn:
        loaded = here.run("load")
        assert loaded.returncode == 0, loaded.stderr
        with here.up("simulator", "--latency", "50ms"), here.working("worker-1", "worker-2"):
            # One that has just begun listens to no signal yet, and the other may be done by then.
            give_up = time.monotonic() + 90
            while here.at_work() < 2 or here.completed() < 66:
                assert time.monotonic() < give_up
                time.sleep(0.5)
        assert here.ask("worker-2", "verify")["breaches"] == []
        assert here.completed() == 66
