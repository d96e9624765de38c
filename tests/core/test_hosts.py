"""The host registry: who is asked for what, which machine this is, and what a file with mistakes is told."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path
from typing import Any

import pytest
import yaml

from core.errors import InvalidInput, NotFound
from core.hosts import detect_local, get_host, get_registry, get_service_url, is_local, is_trainer_local, own_names
from core.paths import CHECKOUT, RealmPaths
from core.services import write_services

SEED: dict[str, Any] = {
    "hosts": {
        "4090": {
            "name": "Training Server", "host": "192.0.2.10", "role": "trainer",
            "services": {
                "vault": {"port": 8767, "path": "/api"}, "ledger": {"port": 8767, "path": "/api/ledger"},
                "training": {"port": 8767, "path": "/api/training"}, "tavern": {"port": 8888},
            },
        },
        "3090": {
            "name": "Inference Server", "host": "192.0.2.11", "role": "inference", "models_dir": "/path/to/models",
            "services": {"inference": {"port": 8765}, "branch": 8768},
        },
    },
}  # fmt: skip


def written(paths: RealmPaths, **changes: Any) -> RealmPaths:
    paths.hosts_file.write_text(yaml.safe_dump({**SEED, **changes}))
    return paths


def mistakes_of(paths: RealmPaths, text: str) -> str:
    paths.hosts_file.write_text(text)
    with pytest.raises(InvalidInput) as caught:
        get_registry(paths, {})
    return str(caught.value)


def test_the_snippet_of_the_seed_works_as_it_is_written(paths: RealmPaths, monkeypatch: pytest.MonkeyPatch) -> None:
    """G8: addresses stand in one file and nowhere in the code."""
    written(paths)
    monkeypatch.setenv("REALM_BASE_DIR", str(paths.base))
    assert get_service_url("ledger") == "http://192.0.2.10:8767/api/ledger"
    assert get_service_url("inference") == "http://192.0.2.11:8765"
    assert get_service_url("branch", "3090") == "http://192.0.2.11:8768"
    host = get_host("3090")
    assert (host.name, host.models_dir, host.role) == ("Inference Server", "/path/to/models", "inference")


def test_an_undetected_host_is_not_the_trainer(paths: RealmPaths, monkeypatch: pytest.MonkeyPatch) -> None:
    """G4: a box that was not found in the registry read an empty ledger of its own."""
    monkeypatch.setenv("REALM_BASE_DIR", str(paths.base))
    assert not is_trainer_local()
    written(paths)
    registry = get_registry()
    assert (registry.local, registry.is_trainer_local, is_trainer_local()) == (None, False, False)
    assert registry.trainer is not None
    assert registry.trainer.id == "4090"


def test_the_local_host_is_what_it_is_said_to_be(paths: RealmPaths) -> None:
    written(paths, local_host=3090)
    assert get_registry(paths, {}).local_id == "3090"
    registry = get_registry(paths, {"REALM_HOST": "4090"})
    assert (registry.local_id, registry.is_trainer_local, registry.is_local("3090")) == ("4090", True, False)
    with pytest.raises(InvalidInput, match="REALM_HOST is '5090', which is no host"):
        get_registry(paths, {"REALM_HOST": "5090"})


def test_the_local_host_is_found_by_an_address_that_only_it_has(paths: RealmPaths) -> None:
    hosts = dict(SEED["hosts"])
    hosts["3090"] = {**hosts["3090"], "host": socket.gethostname()}
    assert get_registry(written(paths, hosts=hosts), {}).local_id == "3090"
    # Three realms on one machine: which of them this is cannot be told from its addresses.
    every = {name: {**host, "host": "127.0.0.1"} for name, host in SEED["hosts"].items()}
    registry = get_registry(written(paths, hosts=every), {})
    assert (registry.local_id, registry.is_trainer_local) == (None, False)
    assert detect_local(registry.hosts, {"127.0.0.2"}) is None
    assert "127.0.0.1" in own_names()


def test_a_service_of_this_machine_is_asked_over_loopback(paths: RealmPaths) -> None:
    """G5: the address of the network card led to timeouts."""
    registry = get_registry(written(paths), {"REALM_HOST": "4090"})
    assert registry.service_url("ledger") == "http://127.0.0.1:8767/api/ledger"
    assert registry.service_url("inference") == "http://192.0.2.11:8765"
    # A site may listen on the card alone: the address book knows.
    write_services(paths, {"vault": {"url": "http://192.0.2.10:8767", "port": 8767, "pid": os.getpid()}})
    assert get_registry(paths, {"REALM_HOST": "4090"}).service_url("vault") == "http://192.0.2.10:8767/api"


def test_unknown_hosts_and_services_are_told_with_what_was_meant(paths: RealmPaths) -> None:
    registry = get_registry(written(paths), {})
    with pytest.raises(NotFound, match=r"no host '3080'.*Did you mean 3090\?"):
        registry.find("3080")
    with pytest.raises(NotFound, match=r"no service 'ledgr'.*Did you mean ledger\?"):
        registry.service_url("ledgr")
    with pytest.raises(NotFound, match="no service 'vault' on 3090"):
        registry.service_url("vault", "3090")
    with pytest.raises(NotFound, match="There is no such file"):
        get_registry(RealmPaths(paths.base / "elsewhere"), {}).service_url("ledger")


def test_json_is_read_where_there_is_no_yaml_and_both_are_refused(paths: RealmPaths) -> None:
    paths.hosts_file.with_suffix(".json").write_text(json.dumps(SEED, indent=2))
    assert list(get_registry(paths, {}).hosts) == ["4090", "3090"]
    written(paths)
    with pytest.raises(InvalidInput, match="There are both"):
        get_registry(paths, {})


def test_every_mistake_is_told_at_once_with_its_host(paths: RealmPaths) -> None:
    told = mistakes_of(
        paths,
        "hosts:\n"
        "  4090: {host: 192.0.2.10, rol: trainer}\n"
        "  3090: {host: 'http://192.0.2.11', role: oracle, services: {branch: {prot: 8768}, vault: 99999}}\n"
        "  nas: just a name\n"
        "local_hosts: nas\n"
        "default_trainer: 5090\n",
    )
    for part in (
        "hosts.4090", "rol: there is no such setting. Did you mean role?", "role: Field required",
        "hosts.3090", "without http:// and port", "'oracle'", "hosts.3090.services.branch", "Did you mean port?",
        "hosts.3090.services.vault", "hosts.nas: a host is a mapping", "Did you mean local_host?",
    ):  # fmt: skip
        assert part in told, part


@pytest.mark.parametrize(
    "line",
    [
        "host: -oProxyCommand=touch", "host: '-x'", "host: 'a b'", "host: user@192.0.2.1", "host: 192.0.2.1:80",
        "host: ''", "ssh_user: '-l'", "ssh_user: 'a;b'", "base_dir: relative/path", "services: {x: {port: 0}}",
        "services: {x: {port: 80, path: '/a/../b?c'}}", "services: {x: {port: 80, protocol: file}}",
        "services: {x: true}",
    ],
)  # fmt: skip
def test_values_that_could_become_something_else_are_refused(paths: RealmPaths, line: str) -> None:
    """G7: a host name becomes an argument of ssh, and an address that is called."""
    key = line.partition(":")[0]
    entry = {"host": "192.0.2.1", "role": "storage", **yaml.safe_load("{" + line + "}")}
    assert key in mistakes_of(paths, yaml.safe_dump({"hosts": {"a": entry}}))


def test_a_secret_that_does_not_belong_here_is_refused_and_never_repeated(paths: RealmPaths) -> None:
    """G16: a password that was committed with the hosts."""
    entry = {"host": "192.0.2.1", "role": "storage", "ssh_password": "hunter2", "token": ["hunter2"]}
    told = mistakes_of(paths, yaml.safe_dump({"hosts": {"a": entry}, "secret": "hunter2"}))
    assert "ssh_password: there is no such setting" in told
    assert "hunter2" not in told


def test_only_addresses_of_the_registry_are_known(paths: RealmPaths) -> None:
    registry = get_registry(written(paths), {"REALM_HOST": "4090"})
    for url in ("http://192.0.2.11:8768", "http://192.0.2.11:8768/assets", "http://127.0.0.1:8767"):
        assert registry.is_known_url(url), url
    for url in (
        "http://192.0.2.11:22", "http://192.0.2.12:8768", "http://192.0.2.11:8768@evil.example/", "file:///etc/passwd",
        "http://evil.example:8768", "http://u:p@192.0.2.11:8768", "http://192.0.2.11:99999", "", "https://192.0.2.11:8768",
    ):  # fmt: skip
        assert not registry.is_known_url(url), url


def test_the_example_is_a_registry(tmp_path: Path) -> None:
    paths = RealmPaths(tmp_path)
    paths.configs.mkdir()
    paths.hosts_file.write_text((CHECKOUT / "examples" / "hosts.yaml").read_text())
    registry = get_registry(paths, {})
    assert (registry.service_url("vault"), registry.is_trainer_local) == ("http://192.168.1.10:8767/api", False)
    assert json.loads(json.dumps(registry.summary()))["hosts"]["nas"]["ssh_user"] == "realm"


def test_the_module_function_tells_whether_a_host_is_here(paths: RealmPaths, monkeypatch: pytest.MonkeyPatch) -> None:
    written(paths)
    monkeypatch.setenv("REALM_BASE_DIR", str(paths.base))
    monkeypatch.setenv("REALM_HOST", "3090")
    assert is_local("3090")
    assert not is_local("4090")
