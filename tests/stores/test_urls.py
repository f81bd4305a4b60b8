"""From a URL to a store."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, ClassVar
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from celeriac.exceptions import ImproperlyConfigured, UnsupportedOption
from celeriac.stores import memory, urls
from celeriac.stores.memory.store import MemoryStore
from celeriac.stores.memory.sync import SyncMemoryStore
from celeriac.stores.no_results import NoResults, SyncNoResults
from celeriac.stores.options import StoreOptions
from celeriac.stores.store import Capabilities, Outgoing
from celeriac.stores.two_stores import SyncTwoStores, TwoStores


@pytest.fixture(autouse=True)
def empty_memory() -> Iterator[None]:
    yield
    memory.discard("one")
    memory.discard("two")


def options(url: str) -> StoreOptions:
    return StoreOptions(url=url, lease=7.0)


def same(broker: str, backend: str) -> bool:
    return urls.same_store(StoreOptions(url=broker), StoreOptions(url=backend))


def found(url: str, group: str = urls.BROKERS) -> Any:
    return urls.plug_in(url, group)


# ----------------------------------------------------------------------------------------------------------- opening


def test_one_url_for_both_is_one_store() -> None:
    store = urls.open_store(options("memory://one"), options("memory://one"))
    assert isinstance(store, MemoryStore)
    assert isinstance(urls.open_sync_store(options("memory://one"), options("memory://one/")), SyncMemoryStore)


def test_two_places_are_two_stores() -> None:
    store = urls.open_store(options("memory://one"), options("memory://two"))
    assert isinstance(store, TwoStores)
    assert store._lease == 7.0
    client = urls.open_sync_store(options("memory://one"), options("memory://two"))
    assert isinstance(client, SyncTwoStores)


def test_no_backend_is_a_broker_without_results() -> None:
    assert isinstance(urls.open_store(options("memory://one"), None), NoResults)
    assert isinstance(urls.open_sync_store(options("memory://one"), None), SyncNoResults)


def test_the_plug_in_sees_the_one_url_of_a_list() -> None:
    client = urls.open_sync_store(options("memory://one;"), None)
    client.publish([Outgoing("work", b"{}")])
    state = memory.state_of(options("memory://one"))
    assert state.queues() == ["work"]


class Recording:
    """A plug-in that remembers how it was opened, and keeps results elsewhere on the same server."""

    opened: ClassVar[list[tuple[StoreOptions, StoreOptions | None]]] = []

    @classmethod
    def open_store(cls, broker: StoreOptions, results: StoreOptions | None = None) -> Any:
        cls.opened.append((broker, results))
        return SimpleNamespace(capabilities=Capabilities())

    @classmethod
    def open_sync_store(cls, broker: StoreOptions, results: StoreOptions | None = None) -> Any:
        cls.opened.append((broker, results))
        return SimpleNamespace(capabilities=Capabilities())


def test_two_databases_of_one_redis_are_one_store_that_knows_both(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(urls, "_built_in", lambda module, url: Recording)
    Recording.opened = []
    broker, backend = options("redis://host/0"), options("redis://host:6379/1")
    assert isinstance(urls.open_store(broker, backend), SimpleNamespace)
    assert isinstance(urls.open_sync_store(broker, backend), SimpleNamespace)
    assert Recording.opened == [(broker, backend), (broker, backend)]


def test_different_tls_options_are_two_stores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(urls, "_built_in", lambda module, url: Recording)
    Recording.opened = []
    with_tls = StoreOptions(url="rediss://host/0", tls={"ssl_cert_reqs": "none"})
    client = urls.open_sync_store(with_tls, options("rediss://host/0"))
    assert Recording.opened == [(with_tls, None), (options("rediss://host/0"), None)]
    assert isinstance(client, SyncTwoStores)


# ---------------------------------------------------------------------------------------------------------- plug-ins


def test_a_scheme_is_found_whatever_its_case() -> None:
    assert found("MEMORY://one") is memory


def test_a_bare_name_is_a_scheme() -> None:
    assert found("memory") is memory


def test_a_plug_in_is_imported_at_first_use(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("celeriac.stores.memory")]:
        monkeypatch.delitem(sys.modules, name)
    same("memory://one", "memory://two")
    assert "celeriac.stores.memory" not in sys.modules
    urls.plug_in("memory://one")
    assert "celeriac.stores.memory" in sys.modules


def test_a_class_can_be_named_with_its_module(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("plugged_in")
    module.Recording = Recording  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "plugged_in", module)
    assert found("plugged_in:Recording://host") is Recording
    assert found("plugged_in:Recording") is Recording
    assert found("plugged_in.Recording://host") is Recording


def test_a_name_without_the_two_functions_is_an_error_that_says_so() -> None:
    with pytest.raises(ImproperlyConfigured, match=r"open_store\(options\)"):
        urls.plug_in("json:dumps://host")
    with pytest.raises(ImproperlyConfigured, match="open_store"):
        urls.plug_in("json:missing://host")


def test_a_module_that_does_not_exist_is_an_error_that_names_it() -> None:
    with pytest.raises(ImproperlyConfigured, match="no_such_module"):
        urls.plug_in("no_such_module:Store://host")


def test_entry_points_add_schemes(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def entry_points(**selection: str) -> list[Any]:
        asked.append(selection)
        if selection.get("group") == "celeriac.backends" and selection.get("name", "cassette") == "cassette":
            return [SimpleNamespace(name="cassette", load=lambda: Recording)]
        return []

    monkeypatch.setattr(metadata, "entry_points", entry_points)
    assert found("cassette://tape", urls.BACKENDS) is Recording
    with pytest.raises(ImproperlyConfigured, match="no broker"):
        urls.plug_in("cassette://tape", urls.BROKERS)


def test_an_unknown_scheme_names_the_nearest() -> None:
    with pytest.raises(ImproperlyConfigured, match=r"did you mean redis://\?") as caught:
        urls.plug_in("reddis://:secret@host")
    assert "secret" not in str(caught.value)
    assert "sqlite://" in str(caught.value)


def test_an_unknown_scheme_that_is_like_none_makes_no_guess() -> None:
    with pytest.raises(ImproperlyConfigured) as caught:
        urls.plug_in("zzzzzz://host", urls.BACKENDS)
    assert "did you mean" not in str(caught.value)
    assert "no result backend is known" in str(caught.value)


def test_a_missing_client_library_names_the_extra_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.import_module

    def without_redis(name: str, package: str | None = None) -> ModuleType:
        if name == "celeriac.stores.redis":
            raise ModuleNotFoundError("No module named 'redis.asyncio'", name="redis.asyncio")
        return real(name, package)

    monkeypatch.setattr(importlib, "import_module", without_redis)
    with pytest.raises(ImproperlyConfigured, match=r"pip install 'celeriac\[redis\]'") as caught:
        urls.plug_in("redis://:secret@host")
    assert "secret" not in str(caught.value)


def test_another_missing_module_is_not_blamed_on_the_client_library(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(name: str, package: str | None = None) -> ModuleType:
        raise ModuleNotFoundError("No module named 'celeriac.missing'", name="celeriac.missing")

    monkeypatch.setattr(importlib, "import_module", broken)
    with pytest.raises(ModuleNotFoundError, match=r"celeriac\.missing"):
        urls.plug_in("redis://host")


# ------------------------------------------------------------------------------------------------------------ one place


@pytest.mark.parametrize(
    ("broker", "backend"),
    [
        ("redis://host/0", "redis://host/1"),
        ("redis://host", "redis://host:6379/3"),
        ("redis://HOST/0", "redis://host/0"),
        ("redis://", "redis://localhost:6379"),
        ("redis://host?db=1", "redis://host?db=2"),
        ("unix:///run/redis.sock?db=1", "valkey+socket:///run/redis.sock"),
        ("redis://:a%40b@host/0", "redis://:a%40b@host/1"),
        ("rediss://host/0", "rediss://host/1"),
        ("valkey://host/0", "redis://host/1"),
        ("sqlite:////var/lib/a.sqlite3", "sqlite:////var/lib/a.sqlite3"),
        ("redis+socket:///run/redis.sock?virtual_host=0", "redis+socket:///run/redis.sock?virtual_host=1"),
        ("memory://", "memory://"),
        ("sentinel://one,two/0?master_name=m", "sentinel://two:26379,one/3?master_name=m"),
        ("redis+cluster://one,two/", "valkey+cluster://two,one:6379"),
        ("redis://one/0;redis://two/0", "redis://two/1;redis://one/1"),
    ],
)
def test_one_place(broker: str, backend: str) -> None:
    assert same(broker, backend)
    assert same(backend, broker)


@pytest.mark.parametrize(
    ("broker", "backend"),
    [
        ("redis://host/0", "redis://other/0"),
        ("redis://host:6379/0", "redis://host:6380/0"),
        ("redis://:one@host/0", "redis://:two@host/0"),
        ("redis://user@host/0", "redis://host/0"),
        ("redis://host/0", "rediss://host/0"),
        ("redis://host/0?password=a", "redis://host/0?password=b"),
        ("redis://localhost", "redis://127.0.0.1"),
        ("redis://host/0", "sqlite://host/0"),
        ("sqlite:////a.sqlite3", "sqlite:////b.sqlite3"),
        ("sqlite:////a.sqlite3", "sqlite:////A.sqlite3"),
        ("memory://one", "memory://two"),
        ("redis+socket:///run/a.sock", "redis+socket:///run/b.sock"),
        ("sentinel://one?master_name=m", "sentinel://one?master_name=n"),
        ("sentinel://one:6379?master_name=m", "redis://one"),
        ("redis+cluster://one", "rediss+cluster://one"),
        ("redis://one/0;redis://two/0", "redis://one/0"),
    ],
)
def test_two_places(broker: str, backend: str) -> None:
    assert not same(broker, backend)
    assert not same(backend, broker)


# -------------------------------------------------------------------------------------------------- passwords and lists


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://:secret@host/0", "redis://:**@host/0"),
        ("redis://user:secret@host/0", "redis://user:**@host/0"),
        ("redis://host/0", "redis://host/0"),
        ("redis://user@host/0", "redis://user@host/0"),
        ("redis://host/0?password=secret&db=1", "redis://host/0?password=**&db=1"),
        ("redis://:a@one/0;redis://:b@two/0", "redis://:**@one/0;redis://:**@two/0"),
        ("redis://:se@cr:et@host/0", "redis://:**@host/0"),
        ("redis://:se/cr?et@host/0", "redis://:**@host/0"),
        ("redis://:secret@host/0?name=a@b", "redis://:**@host/0?name=a@b"),
        ("redis://:one;two@host/0;redis://:three@other", "redis://:**@host/0;redis://:**@other"),
        ("sqlite:////var/lib/a.sqlite3", "sqlite:////var/lib/a.sqlite3"),
        ("memory", "memory"),
    ],
)
def test_passwords_are_hidden(url: str, shown: str) -> None:
    assert urls.masked(url) == shown


@given(
    st.text(min_size=4).map(lambda text: "pw-" + text),
    st.from_regex(r"[a-z]{0,5}", fullmatch=True),
    st.from_regex(r"[a-z]{1,8}(:[0-9]{1,5})?(/[0-9]{0,2})?", fullmatch=True),
)
def test_no_password_is_ever_shown(password: str, user: str, rest: str) -> None:
    encoded = quote(password, safe="")
    shown = urls.masked(f"redis://{user}:{encoded}@{rest}")
    assert shown == f"redis://{user}:**@{rest}"


@pytest.mark.parametrize(
    ("given", "found"),
    [
        (["redis://one/0"], ("redis://one/0",)),
        (" redis://one/0 ; ", ("redis://one/0",)),
        ("redis://:p;w@one/0;redis://two/0", ("redis://:p;w@one/0", "redis://two/0")),
        (["redis://one/0;redis://two", "redis://three"], ("redis://one/0", "redis://two", "redis://three")),
    ],
)
def test_a_list_is_read_in_either_form(given: Any, found: tuple[str, ...]) -> None:
    assert urls.listed(given) == found


def test_a_list_of_a_technology_without_failover_is_refused_with_its_names() -> None:
    with pytest.raises(UnsupportedOption, match=r"broker_url names several .*redis://:\*\*@one/0, memory://two"):
        urls.open_store(options("redis://:pw@one/0;memory://two"), None)


def test_several_backends_are_refused_under_their_own_setting() -> None:
    with pytest.raises(UnsupportedOption, match="result_backend names several"):
        urls.open_store(options("memory://one"), options("memory://one;memory://two"))


def test_a_list_reaches_the_store_as_the_first_url_and_its_alternates() -> None:
    store: Any = urls.open_sync_store(options("redis://:pw@one/0;redis://two/0"), None)
    assert store.broker._places.topology.public == "redis://one:6379/0;redis://two:6379/0"


@pytest.mark.parametrize("empty", ["", " ; ", []])
def test_no_url_is_an_error_that_gives_an_example(empty: Any) -> None:
    with pytest.raises(ImproperlyConfigured, match="sqlite://"):
        urls.listed(empty)


def test_every_built_in_scheme_has_a_plug_in_folder() -> None:
    folder = Path(urls.__file__).parent
    for module in urls._BUILT_IN.values():
        assert (folder / module.rpartition(".")[2] / "__init__.py").is_file()
