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
INSERT INTO alembic_version (version_num) VALUES ('0001');
