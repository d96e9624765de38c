CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
CREATE TABLE transfers (
	id INTEGER NOT NULL, 
	asset_id VARCHAR(300) NOT NULL, 
	from_stronghold VARCHAR(64) NOT NULL, 
	to_stronghold VARCHAR(64) NOT NULL, 
	from_path TEXT NOT NULL, 
	to_path TEXT NOT NULL, 
	bytes_transferred BIGINT NOT NULL, 
	duration_seconds FLOAT NOT NULL, 
	success BOOLEAN NOT NULL, 
	error TEXT, 
	created_at VARCHAR(40) NOT NULL, 
	PRIMARY KEY (id)
);
CREATE TABLE manifests (
	path TEXT NOT NULL, 
	stamp VARCHAR(64) NOT NULL, 
	manifest JSON NOT NULL, 
	PRIMARY KEY (path)
);
CREATE TABLE mounts (
	point TEXT NOT NULL, 
	PRIMARY KEY (point)
);
CREATE TABLE stagings (
	path TEXT NOT NULL, 
	begun_at VARCHAR(40) NOT NULL, 
	PRIMARY KEY (path)
);
CREATE TABLE assets (
	number INTEGER NOT NULL, 
	asset_id VARCHAR(300) NOT NULL, 
	asset_type VARCHAR(32) NOT NULL, 
	name VARCHAR(255) NOT NULL, 
	description TEXT NOT NULL, 
	size_bytes BIGINT, 
	created_at VARCHAR(40), 
	modified_at VARCHAR(40), 
	status VARCHAR(16) NOT NULL, 
	metadata JSON NOT NULL, 
	step BIGINT, 
	places TEXT DEFAULT '[]' NOT NULL, 
	PRIMARY KEY (number), 
	UNIQUE (asset_id)
);
CREATE INDEX assets_by_type ON assets (asset_type, asset_id);
CREATE INDEX assets_by_step ON assets (asset_type, step, asset_id);
CREATE INDEX assets_by_name ON assets (name, asset_id);
CREATE INDEX assets_by_rare_status ON assets (status, asset_id) WHERE status != 'active';
CREATE TABLE locations (
	asset_id VARCHAR(300) NOT NULL, 
	stronghold VARCHAR(64) NOT NULL, 
	path TEXT NOT NULL, 
	status VARCHAR(16) NOT NULL, 
	verified_at VARCHAR(40), 
	checksum VARCHAR(64), 
	size_bytes BIGINT, 
	synced_at VARCHAR(40), 
	is_primary BOOLEAN NOT NULL, 
	PRIMARY KEY (asset_id, stronghold, path), 
	FOREIGN KEY(asset_id) REFERENCES assets (asset_id) ON DELETE CASCADE
)
 WITHOUT ROWID

;
CREATE INDEX locations_by_stronghold ON locations (stronghold, asset_id);
CREATE INDEX locations_by_path ON locations (stronghold, path);
CREATE TABLE counters (
	kind VARCHAR(16) NOT NULL, 
	name VARCHAR(64) NOT NULL, 
	entries INTEGER NOT NULL, 
	size_bytes BIGINT NOT NULL, 
	PRIMARY KEY (kind, name)
)
 WITHOUT ROWID

;
CREATE TRIGGER assets_counted_in AFTER INSERT ON assets BEGIN INSERT INTO counters SELECT 'type', NEW.asset_type, 0, 0 WHERE NOT EXISTS (SELECT 1 FROM counters WHERE kind = 'type' AND name = NEW.asset_type); UPDATE counters SET entries = entries + 1, size_bytes = size_bytes + coalesce(NEW.size_bytes, 0) WHERE kind = 'type' AND name = NEW.asset_type; END;
CREATE TRIGGER assets_counted_out AFTER DELETE ON assets BEGIN UPDATE counters SET entries = entries - 1, size_bytes = size_bytes - coalesce(OLD.size_bytes, 0) WHERE kind = 'type' AND name = OLD.asset_type; END;
CREATE TRIGGER assets_counted_anew AFTER UPDATE OF asset_type, size_bytes ON assets BEGIN INSERT INTO counters SELECT 'type', NEW.asset_type, 0, 0 WHERE NOT EXISTS (SELECT 1 FROM counters WHERE kind = 'type' AND name = NEW.asset_type); UPDATE counters SET entries = entries - 1, size_bytes = size_bytes - coalesce(OLD.size_bytes, 0) WHERE kind = 'type' AND name = OLD.asset_type; UPDATE counters SET entries = entries + 1, size_bytes = size_bytes + coalesce(NEW.size_bytes, 0) WHERE kind = 'type' AND name = NEW.asset_type; END;
CREATE TRIGGER locations_counted_in AFTER INSERT ON locations BEGIN INSERT INTO counters SELECT 'stronghold', NEW.stronghold, 0, 0 WHERE NOT EXISTS (SELECT 1 FROM counters WHERE kind = 'stronghold' AND name = NEW.stronghold); UPDATE counters SET entries = entries + 1, size_bytes = size_bytes + coalesce(NEW.size_bytes, 0) WHERE kind = 'stronghold' AND name = NEW.stronghold; END;
CREATE TRIGGER locations_counted_out AFTER DELETE ON locations BEGIN UPDATE counters SET entries = entries - 1, size_bytes = size_bytes - coalesce(OLD.size_bytes, 0) WHERE kind = 'stronghold' AND name = OLD.stronghold; END;
CREATE TRIGGER locations_counted_anew AFTER UPDATE OF stronghold, size_bytes ON locations BEGIN INSERT INTO counters SELECT 'stronghold', NEW.stronghold, 0, 0 WHERE NOT EXISTS (SELECT 1 FROM counters WHERE kind = 'stronghold' AND name = NEW.stronghold); UPDATE counters SET entries = entries - 1, size_bytes = size_bytes - coalesce(OLD.size_bytes, 0) WHERE kind = 'stronghold' AND name = OLD.stronghold; UPDATE counters SET entries = entries + 1, size_bytes = size_bytes + coalesce(NEW.size_bytes, 0) WHERE kind = 'stronghold' AND name = NEW.stronghold; END;
CREATE TRIGGER locations_told_on_insert AFTER INSERT ON locations BEGIN UPDATE assets SET (places, status) = (SELECT json_group_array(json_array(stronghold, path, status, verified_at, checksum, size_bytes, synced_at, is_primary)), CASE WHEN max(status IN ('verified', 'unverified') AND NOT ('/' || path GLOB '*/backups/*-[0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9]T[0-9][0-9][0-9][0-9][0-9][0-9]Z*/*')) AND assets.asset_type != 'backup' THEN 'active' WHEN max(status IN ('verified', 'unverified')) THEN 'archived' WHEN max(status = 'corrupted') THEN 'corrupted' ELSE 'missing' END FROM locations WHERE asset_id = NEW.asset_id) WHERE asset_id = NEW.asset_id; END;
CREATE TRIGGER locations_told_on_update AFTER UPDATE ON locations BEGIN UPDATE assets SET (places, status) = (SELECT json_group_array(json_array(stronghold, path, status, verified_at, checksum, size_bytes, synced_at, is_primary)), CASE WHEN max(status IN ('verified', 'unverified') AND NOT ('/' || path GLOB '*/backups/*-[0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9]T[0-9][0-9][0-9][0-9][0-9][0-9]Z*/*')) AND assets.asset_type != 'backup' THEN 'active' WHEN max(status IN ('verified', 'unverified')) THEN 'archived' WHEN max(status = 'corrupted') THEN 'corrupted' ELSE 'missing' END FROM locations WHERE asset_id = NEW.asset_id) WHERE asset_id = NEW.asset_id; END;
CREATE TRIGGER locations_told_on_delete AFTER DELETE ON locations BEGIN UPDATE assets SET (places, status) = (SELECT json_group_array(json_array(stronghold, path, status, verified_at, checksum, size_bytes, synced_at, is_primary)), CASE WHEN max(status IN ('verified', 'unverified') AND NOT ('/' || path GLOB '*/backups/*-[0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9]T[0-9][0-9][0-9][0-9][0-9][0-9]Z*/*')) AND assets.asset_type != 'backup' THEN 'active' WHEN max(status IN ('verified', 'unverified')) THEN 'archived' WHEN max(status = 'corrupted') THEN 'corrupted' ELSE 'missing' END FROM locations WHERE asset_id = OLD.asset_id) WHERE asset_id = OLD.asset_id; END;
INSERT INTO alembic_version (version_num) VALUES ('0002');
