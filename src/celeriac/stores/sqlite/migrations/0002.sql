-- Version 2: records of settlements, for a broker that is elsewhere.

-- What ended whose follow-ups another broker is to publish; NULL in `follow_ups` once it has.
CREATE TABLE settled (
    id INTEGER PRIMARY KEY,
    identity TEXT NOT NULL UNIQUE,
    follow_ups BLOB,
    expires REAL NOT NULL
);
CREATE INDEX settled_expires ON settled (expires);
