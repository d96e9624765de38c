CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
CREATE TABLE events (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	at VARCHAR(40) NOT NULL, 
	kind VARCHAR(64) NOT NULL, 
	message TEXT NOT NULL, 
	data JSON
);
CREATE TABLE metrics (
	series VARCHAR(128) NOT NULL, 
	step INTEGER NOT NULL, 
	value FLOAT NOT NULL, 
	at VARCHAR(40) NOT NULL, 
	PRIMARY KEY (series, step)
)
 WITHOUT ROWID

;
CREATE TABLE guild_quests (
	history VARCHAR(40) NOT NULL, 
	number INTEGER NOT NULL, 
	name VARCHAR(255) NOT NULL, 
	status VARCHAR(16) NOT NULL, 
	at VARCHAR(40) NOT NULL, 
	"plan" JSON, 
	standing JSON, 
	reason TEXT, 
	PRIMARY KEY (history, number)
)
 WITHOUT ROWID

;
CREATE TABLE guild_examinations (
	history VARCHAR(40) NOT NULL, 
	number INTEGER NOT NULL, 
	place INTEGER NOT NULL, 
	exam_id VARCHAR(100) NOT NULL, 
	quest_id VARCHAR(40) NOT NULL, 
	skill VARCHAR(64) NOT NULL, 
	level INTEGER NOT NULL, 
	purpose VARCHAR(16) NOT NULL, 
	step INTEGER NOT NULL, 
	total INTEGER NOT NULL, 
	answered INTEGER NOT NULL, 
	correct INTEGER NOT NULL, 
	seconds FLOAT NOT NULL, 
	at VARCHAR(40) NOT NULL, 
	PRIMARY KEY (history, number, place)
)
 WITHOUT ROWID

;
CREATE TABLE guild_answers (
	history VARCHAR(40) NOT NULL, 
	number INTEGER NOT NULL, 
	place INTEGER NOT NULL, 
	level INTEGER NOT NULL, 
	purpose VARCHAR(16) NOT NULL, 
	prompt TEXT NOT NULL, 
	expected TEXT NOT NULL, 
	answer TEXT, 
	verdict VARCHAR(8) NOT NULL, 
	PRIMARY KEY (history, number, place)
)
 WITHOUT ROWID

;
CREATE TABLE guild_levels (
	id INTEGER NOT NULL, 
	history VARCHAR(40) NOT NULL, 
	number INTEGER NOT NULL, 
	at VARCHAR(40) NOT NULL, 
	skill VARCHAR(64) NOT NULL, 
	old_mastered INTEGER NOT NULL, 
	new_mastered INTEGER NOT NULL, 
	cause VARCHAR(16) NOT NULL, 
	PRIMARY KEY (id)
);
CREATE INDEX ix_guild_levels_history ON guild_levels (history);
CREATE TABLE guild_achievements (
	history VARCHAR(40) NOT NULL, 
	name VARCHAR(100) NOT NULL, 
	number INTEGER NOT NULL, 
	at VARCHAR(40) NOT NULL, 
	title VARCHAR(100) NOT NULL, 
	why TEXT NOT NULL, 
	PRIMARY KEY (history, name)
)
 WITHOUT ROWID

;
CREATE INDEX ix_events_kind ON events (kind);
CREATE TABLE metric_rollups (
	series VARCHAR(128) NOT NULL, 
	size INTEGER NOT NULL, 
	bucket INTEGER NOT NULL, 
	points INTEGER NOT NULL, 
	first INTEGER NOT NULL, 
	last INTEGER NOT NULL, 
	low FLOAT NOT NULL, 
	high FLOAT NOT NULL, 
	total FLOAT NOT NULL, 
	PRIMARY KEY (series, size, bucket)
)
 WITHOUT ROWID

;
INSERT INTO alembic_version (version_num) VALUES ('0003');
