-- Version 3: messages are handed over to those who wait, and few results are not marked for their readers.
-- Who is registered meanwhile looks by itself, and registers again.

DROP TABLE waiter;

CREATE TABLE waiter (
    queue TEXT NOT NULL,
    socket TEXT NOT NULL,
    alarm REAL NOT NULL,
    woken REAL NOT NULL DEFAULT 0,
    room INTEGER NOT NULL DEFAULT 0,    -- messages that it has room for; 0: it is rung only
    holder TEXT NOT NULL DEFAULT '',    -- as in `lease`
    lease REAL NOT NULL DEFAULT 0,      -- lifetime of its leases, seconds
    handed INTEGER NOT NULL DEFAULT 0,  -- the message that was handed over last, 0: none
    batch INTEGER NOT NULL DEFAULT 0,   -- the batch of its lease
    PRIMARY KEY (queue, socket)
) WITHOUT ROWID;
CREATE INDEX waiter_socket ON waiter (socket);

DROP TABLE reader;

CREATE TABLE reader (
    task_id TEXT NOT NULL,
    socket TEXT NOT NULL,
    told INTEGER,
    PRIMARY KEY (task_id, socket)
) WITHOUT ROWID;
CREATE INDEX reader_told ON reader (socket) WHERE told = 1;
