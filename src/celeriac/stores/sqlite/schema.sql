-- The embedded store's file, version 4 (PRAGMA user_version).
--
-- Invariants, each kept by every single transaction:
--   * A row of `message` is a message that is alive, and its id stands in exactly one of `ready`, `held`, `lease`.
--     A dead letter has left `message` and lives in `dead` alone.
--   * The payload is written once, by the publisher: what changes place is the id only. So claiming and holding cost
--     the same for a message of a kilobyte and of a megabyte.
--   * Times are seconds since the epoch by this host's clock; NULL in `expires` is for ever.
--   * `waiter`, `reader` and `listener` name datagram sockets in the folder beside the file. Losing a row costs a delay
--     until the next look, never a message.

CREATE TABLE message (
    id INTEGER PRIMARY KEY,             -- grows with every message: tells which is older
    queue TEXT NOT NULL,
    priority INTEGER NOT NULL,          -- 0 to 9, 0 first
    losses INTEGER NOT NULL DEFAULT 0,  -- redeliveries because the holder was lost
    holds INTEGER NOT NULL DEFAULT 0,   -- holds because no worker knew the task
    granted INTEGER NOT NULL DEFAULT 0, -- 1: held for a rate limit, its token is reserved
    payload BLOB NOT NULL
);

-- `place` is the id for what was published, and a number below all others for what returns to the front.
CREATE TABLE ready (
    queue TEXT NOT NULL,
    priority INTEGER NOT NULL,
    place INTEGER NOT NULL,
    id INTEGER NOT NULL,
    PRIMARY KEY (queue, priority, place)
) WITHOUT ROWID;

CREATE TABLE held (
    queue TEXT NOT NULL,
    due REAL NOT NULL,
    id INTEGER NOT NULL,
    PRIMARY KEY (queue, due, id)
) WITHOUT ROWID;

-- How many rows of each queue `held` has, so that nobody ever counts a million of them.
CREATE TABLE held_count (
    queue TEXT PRIMARY KEY,
    held INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TRIGGER held_grows AFTER INSERT ON held BEGIN
    INSERT INTO held_count (queue, held) VALUES (new.queue, 1)
    ON CONFLICT (queue) DO UPDATE SET held = held + 1;
END;

CREATE TRIGGER held_shrinks AFTER DELETE ON held BEGIN
    UPDATE held_count SET held = held - 1 WHERE queue = old.queue;
END;

-- The claim is "<holder>:<batch>:<id>": the holder is the incarnation of one open store, the batch is its counter of
-- transactions that claimed, or a larger number for what was handed over (handover.py). No two deliveries share one.
-- Small (what is in flight), so sweeps read all of it.
CREATE TABLE lease (
    id INTEGER PRIMARY KEY,
    queue TEXT NOT NULL,
    holder TEXT NOT NULL,
    batch INTEGER NOT NULL,
    deadline REAL NOT NULL
);

CREATE TABLE dead (
    id INTEGER PRIMARY KEY AUTOINCREMENT, -- never given twice: people name dead letters by it
    queue TEXT NOT NULL,
    priority INTEGER NOT NULL,
    losses INTEGER NOT NULL,
    reason TEXT NOT NULL,
    died REAL NOT NULL,
    expires REAL,
    payload BLOB NOT NULL
);
CREATE INDEX dead_queue ON dead (queue);
CREATE INDEX dead_expires ON dead (expires) WHERE expires IS NOT NULL;

CREATE TABLE result (
    id INTEGER PRIMARY KEY,
    task_id TEXT NOT NULL UNIQUE,
    success INTEGER NOT NULL,             -- 1: nothing but another SUCCESS replaces it
    expires REAL,
    payload BLOB NOT NULL
);
CREATE INDEX result_expires ON result (expires) WHERE expires IS NOT NULL;

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

CREATE TABLE chord_part (
    group_id TEXT NOT NULL,
    position INTEGER NOT NULL,
    task_id TEXT NOT NULL,
    payload BLOB NOT NULL,
    UNIQUE (group_id, position, task_id)  -- a redelivered part counts once
);

CREATE TABLE document (
    id INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    expires REAL,
    payload BLOB NOT NULL,
    UNIQUE (kind, name)
);
CREATE INDEX document_expires ON document (expires) WHERE expires IS NOT NULL;

-- What ended whose follow-ups another broker is to publish; NULL in `follow_ups` once it has.
CREATE TABLE settled (
    id INTEGER PRIMARY KEY,
    identity TEXT NOT NULL UNIQUE,
    follow_ups BLOB,
    expires REAL NOT NULL
);
CREATE INDEX settled_expires ON settled (expires);

CREATE TABLE revocation (
    counter INTEGER PRIMARY KEY AUTOINCREMENT, -- its largest value ever is the store's revocation count
    task_id TEXT NOT NULL UNIQUE,
    terminate INTEGER NOT NULL,
    signal TEXT NOT NULL,
    expires REAL NOT NULL
);
CREATE INDEX revocation_expires ON revocation (expires);

CREATE TABLE claimed_once (
    name TEXT NOT NULL,
    slot TEXT NOT NULL,
    expires REAL NOT NULL,
    PRIMARY KEY (name, slot)
) WITHOUT ROWID;
CREATE INDEX claimed_once_expires ON claimed_once (expires);

CREATE TABLE broadcast (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    exchange TEXT NOT NULL,
    sent REAL NOT NULL,
    payload BLOB NOT NULL
);

-- An idle worker. `alarm` is when it looks again by itself; `woken` is when somebody last rang it, 0 before. The other
-- columns are for handing over (handover.py), and the same in all rows of a socket.
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

-- Somebody waits for a result; `told` is 1 once it was stored, until the reader has read it, and 0 before. It is NULL
-- for who waits for few and looks at each when it is rung.
CREATE TABLE reader (
    task_id TEXT NOT NULL,
    socket TEXT NOT NULL,
    told INTEGER,
    PRIMARY KEY (task_id, socket)
) WITHOUT ROWID;
CREATE INDEX reader_told ON reader (socket) WHERE told = 1;

CREATE TABLE listener (
    exchange TEXT NOT NULL,
    socket TEXT NOT NULL,
    PRIMARY KEY (exchange, socket)
) WITHOUT ROWID;
