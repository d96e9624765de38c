"""What the first version's own guide (seed 003) tells its users to type about vault, ledger, hosts and zones, word for
word, each piece with its line there, and what has to come of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

TRAINER, INFERENCE = "4090", "3090"
"""The hosts of the guide on which something is typed."""


@dataclass(frozen=True)
class Snippet:
    """A piece of Python, as it stands in the guide."""

    line: int
    host: str
    text: str
    prints: tuple[str, ...] = ()
    """Lines, in which `{training}` and `{models}` stand for the directories of the two hosts."""
    holds: tuple[str, ...] = ()
    """Expressions over the names that it leaves behind and over `training` and `models`, which are true then."""


@dataclass(frozen=True)
class Call:
    """A line with curl, and what is true of the JSON that it prints, called `told`."""

    line: int
    text: str
    holds: str


@dataclass(frozen=True)
class Row:
    """A row of a table of endpoints; `body` is sent where one is wanted."""

    line: int
    path: str
    method: str
    holds: str
    body: dict[str, Any] = field(default_factory=dict)


OLD, NEW = "checkpoint-175000-20251126-0900", "checkpoint-190000-20251127-1430"

PYTHON = (
    Snippet(322, TRAINER, """\
from vault import StorageRegistry, StrongholdType
registry = StorageRegistry(base_dir)
registry.register_stronghold(
    name="synology_main",
    stronghold_type=StrongholdType.NAS,
    host="192.168.x.x"
)
""", holds=("registry.get('synology_main').stronghold_type == 'nas'",)),
    Snippet(355, TRAINER, """\
from vault import ask_vault_first

# OLD WAY (hardcoded path):
model_path = "/path/to/training/models/checkpoint-175000"

# NEW WAY (ask vault first):
model_path = ask_vault_first(
    "checkpoint_175000",
    fallback="/path/to/training/models/checkpoint-175000"
)

# The keeper will:
# 1. Look up the asset in its catalog
# 2. Find the best available location (local > NAS > remote)
# 3. Fetch it locally if needed
# 4. Return the local path
""", holds=(f"model_path == training + '/current_model/{OLD}'",)),
    Snippet(376, TRAINER, """\
from vault import VaultKeeper, VaultDiscovery

# Initialize keeper
keeper = VaultKeeper()

# Scan and register all local assets (run once)
discovery = VaultDiscovery()
discovery.scan_all()

# Now locate any asset
result = keeper.locate("checkpoint_175000")
print(f"Found at: {result.best_location.path}")

# Fetch from best source (may be NAS or 3090)
result = keeper.fetch("checkpoint_175000", "/tmp/local_copy")
""", prints=(f"Found at: {{training}}/current_model/{OLD}",),
            holds=("result.success", "whole(result.local_path)", "result.local_path.endswith('/local_copy')")),
    Snippet(408, INFERENCE, """\
from vault.client import VaultKeeperClient

# On 3090, connect to 4090's VaultKeeper
client = VaultKeeperClient("192.168.x.x:8767")

# Find checkpoint
result = client.locate("checkpoint_175000")
if result.found:
    print(f"Found at: {result.best_location.path}")

# Ensure local (fetch if needed)
local_path = client.ensure_local("checkpoint_175000")
""", prints=(f"Found at: {{training}}/current_model/{OLD}",),
            holds=(f"local_path == models + '/models/{OLD}'", "whole(local_path)")),
    Snippet(486, TRAINER, """\
from core.checkpoint_ledger import get_ledger, record_checkpoint

# Get the ledger
ledger = get_ledger()

# Query checkpoints
latest = ledger.get_latest()
best = ledger.get_best(metric="train_loss")
all_records = ledger.list_all(limit=20)

# Get specific checkpoint
record = ledger.get(190000)
print(f"Loss: {record.train_loss}")
print(f"Canonical: {record.canonical_name}")  # checkpoint-190000-20251127-1430

# Parse any checkpoint name
from core.checkpoint_ledger import extract_step
step = extract_step("checkpoint-190000-20251127-1430")  # 190000
""", prints=("Loss: 0.432", f"Canonical: {NEW}"),
            holds=("latest == record", "best.step == 175000", "len(all_records) == 4", "step == 190000")),
    Snippet(541, INFERENCE, """\
from core.checkpoint_ledger import RemoteLedgerClient, get_ledger_client

# Option 1: Auto-detect (local vs remote)
ledger = get_ledger_client()  # Uses local ledger on 4090, remote API elsewhere

# Option 2: Explicit remote client
client = RemoteLedgerClient("http://192.168.x.x:8767/api/ledger")

# Same interface as local ledger
latest = client.get_latest()
best = client.get_best(metric="train_loss")
all_records = client.list_all(limit=20)
record = client.get(190000)

# Check if API is reachable
if client.is_available():
    print("Ledger API online")
""", prints=("Ledger API online",),
            holds=("ledger.get_latest() == latest == record", "best.step == 175000", "len(all_records) == 4",
                   "isinstance(ledger, RemoteLedgerClient)")),
    *(
        Snippet(576, host, """\
from core.hosts import get_service_url, get_host, is_trainer_local

# Get service URL
ledger_url = get_service_url("ledger")  # http://192.168.x.x:8767/api/ledger
inference_url = get_service_url("inference")  # http://192.168.x.x:8765

# Check if we're on the trainer
if is_trainer_local():
    ledger = get_ledger()  # Local file access
else:
    # Use remote API
    pass

# Get host config
host = get_host("3090")
print(host.name)  # "Inference Server"
print(host.models_dir)  # /path/to/models
""", prints=("Inference Server", "{models}"),
                holds=("ledger_url.endswith('/api/ledger')", "inference_url.endswith(':8765')",
                       f"is_trainer_local() is {host == TRAINER}"))
        for host in (TRAINER, INFERENCE)
    ),
    Snippet(694, TRAINER, """\
from vault import push_to_zone, pull_from_zone

# Push checkpoint to 3090
result = push_to_zone(
    "/path/to/training/current_model/checkpoint-190000-20251127-1430",
    "3090"
)

# Pull from 3090
result = pull_from_zone(
    "/path/to/models/checkpoint-190000-20251127-1430",
    "3090"
)
""", holds=("result['success']", f"whole(models + '/{NEW}')", f"result['destination'] == training + '/models/{NEW}'",
            "whole(result['destination'])", "(result['source_zone'], result['target_zone']) == ('3090', '4090')")),
)  # fmt: skip

CURL = (
    Call(400, "curl http://192.168.x.x:8767/api/locate/checkpoint_175000",
         f"told['found'] and told['best_location']['path'].endswith('/{OLD}')"),
    Call(401, "curl http://192.168.x.x:8767/api/stats", "told['assets_by_type']['checkpoint'] == 4"),
    Call(402, "curl http://192.168.x.x:8767/api/checkpoints",
         "[each['step'] for each in told['checkpoints']] == [190000, 175000, 2000, 1000]"),
    Call(519, "curl http://localhost:8767/api/ledger", "told['checkpoints'][0]['train_loss'] == 0.432"),
    Call(522, "curl http://localhost:8767/api/ledger/190000", f"told['canonical_name'] == '{NEW}'"),
    Call(525, "curl http://localhost:8767/api/ledger/best?metric=train_loss",
         "(told['step'], told['metric'], told['value']) == (175000, 'train_loss', 0.125)"),
)  # fmt: skip

VAULT_TABLE = (
    Row(426, "/health", "GET", "told['status'] == 'healthy' and told['service'] == 'vault_keeper'"),
    Row(427, "/api/stats", "GET", "told['total_assets'] > 4"),
    Row(428, "/api/locate/{asset_id}", "GET", "told['found']"),
    Row(429, "/api/asset/{asset_id}", "GET", f"told['name'] == '{OLD}'"),
    Row(430, "/api/checkpoints", "GET", "told['count'] == 4"),
    Row(431, "/api/search?type=X", "GET", "{each['asset_type'] for each in told['assets']} == {'checkpoint'}"),
    Row(432, "/api/fetch", "POST", "told['success'] and whole(told['local_path'])",
        {"asset_id": "checkpoint_175000", "destination": "models/fetched"}),
    Row(433, "/api/register", "POST", "told['success'] and told['asset']['asset_id'] == 'checkpoint_190000'",
        {"path": f"current_model/{NEW}"}),
    Row(434, "/api/scan", "POST", "'checkpoint_190000' in told['asset_ids']", {"path": "current_model"}),
    Row(435, "/api/zones", "GET", "told['total_zones'] == told['online_zones'] == 2"),
    Row(436, "/api/zones/{id}", "GET", "(told['zone_type'], told['status']) == ('inference', 'online')"),
    Row(437, "/api/transfer", "POST", f"told['success'] and whole(models + '/{OLD}')",
        {"asset_id": "checkpoint_175000", "target_zone": "3090"}),
    Row(438, "/api/ledger", "GET", "told['count'] == 4"),
    Row(439, "/api/ledger/{step}", "GET", "told['train_loss'] == 0.432"),
    Row(440, "/api/ledger/best", "GET", "told['value'] == 0.125"),
    Row(441, "/api/ledger/summary", "GET", "(told['count'], told['latest_step']) == (4, 190000)"),
    Row(442, "/api/training/status", "GET", "'heartbeat_at' in told or 'message' in told"),
    Row(443, "/api/training/queue", "GET", "told['queues']['high']['count'] == 1"),
    Row(444, "/api/training/control", "POST", "told['success']", {"action": "resume"}),
)  # fmt: skip

BRANCH_TABLE = (
    Row(684, "/status", "GET", "told['status'] == 'online' and told['zone_id'] == '3090'"),
    Row(685, "/assets", "GET", f"'{OLD}' in [each['name'] for each in told['assets']]"),
    Row(686, "/assets/{id}", "GET", f"told['asset']['path'] == models + '/{OLD}'"),
    Row(687, "/fetch/{id}", "GET", "told['type'] == 'directory'"),
    Row(688, "/scan", "POST", "told['errors'] == []"),
    Row(689, "/receive", "POST", "told['ready']", {"asset_id": "checkpoint_5", "destination": "checkpoint-5"}),
)

SERVER = "nohup python3 vault/server.py --port 8767 > logs/vault_keeper.log 2>&1 &"
"""Line 397."""
OFFICER = "python3 vault/branch_officer.py --zone 3090 --port 8768 --base-dir /path/to/models"
"""Line 674."""

HOSTS = """\
{
  "hosts": {
    "4090": {
      "name": "Training Server",
      "host": "192.168.x.x",
      "role": "trainer",
      "services": {
        "vault": {"port": 8767, "path": "/api"},
        "ledger": {"port": 8767, "path": "/api/ledger"},
        "training": {"port": 8767, "path": "/api/training"},
        "tavern": {"port": 8888}
      }
    },
    "3090": {
      "name": "Inference Server",
      "host": "192.168.x.x",
      "role": "inference",
      "services": {
        "inference": {"port": 8765}
      }
    }
  }
}
"""
"""Line 598: `config/hosts.json`."""
