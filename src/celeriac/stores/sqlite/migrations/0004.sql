-- Version 4: chords are counted, a part is known by its position and its task, and documents are stored.

-- What is known of a chord.
CREATE TABLE chord (
    group_id TEXT PRIMARY KEY,
    counted INTEGER NOT NULL,             -- its rows in `chord_part`
    size INTEGER,                         -- that a part brought, if any did
    grown INTEGER NOT NULL,               -- members that were added
    complete INTEGER NOT NULL,            -- 1: its completion was published, once
    closed INTEGER NOT NULL,              -- 1: its body was sent, its parts are gone, and late ones are ignored
    expires REAL NOT NULL
) WITHOUT ROWID;
CREATE INDEX chord_expires ON chord (expires);


INSERT INTO chord (group_id, counted, size, grown, complete, closed, expires)
SELECT group_id, count(*), max(size), 0, 0, 0, max(expires) FROM chord_part GROUP BY group_id;

ALTER TABLE chord_part RENAME TO former_part;

CREATE TABLE chord_part (
    group_id TEXT NOT NULL,
    position INTEGER NOT NULL,
    task_id TEXT NOT NULL,
    payload BLOB NOT NULL,
    UNIQUE (group_id, position, task_id)  -- a redelivered part counts once
);

INSERT INTO chord_part (group_id, position, task_id, payload)
SELECT group_id, position, task_id, payload FROM former_part ORDER BY rowid;

DROP TABLE former_part;

CREATE TABLE document (
    id INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    expires REAL,
    payload BLOB NOT NULL,
    UNIQUE (kind, name)
);
CREATE INDEX document_expires ON document (expires) WHERE expires IS NOT NULL;
