-- Revocations, slots that are claimed once, and broadcasts.

-- name: revoke
-- A task that is revoked again counts as a new revocation. Arguments: task_id, terminate, signal, expires.
INSERT OR REPLACE INTO revocation (task_id, terminate, signal, expires) VALUES (?, ?, ?, ?)

-- name: revocations
-- Arguments: count, now. Returns (task_id, terminate, signal), the oldest first.
SELECT task_id, terminate, signal FROM revocation WHERE counter > ? AND expires > ? ORDER BY counter

-- name: claim_once
-- One row is written when the slot is free, or none. Arguments: name, slot, expires, now.
INSERT INTO claimed_once (name, slot, expires) VALUES (?, ?, ?)
ON CONFLICT (name, slot) DO UPDATE SET expires = excluded.expires WHERE claimed_once.expires <= ?

-- name: broadcast
-- Arguments: exchange, now, payload.
INSERT INTO broadcast (exchange, sent, payload) VALUES (?, ?, ?)

-- name: trim_broadcasts
-- Of the first so many, those that are too old. Arguments: limit, sent before.
DELETE FROM broadcast WHERE id IN (
    SELECT id FROM (SELECT id, sent FROM broadcast ORDER BY id LIMIT ?) WHERE sent < ?
)

-- name: last_broadcast
-- Returns (id) or no row.
SELECT seq FROM sqlite_sequence WHERE name = 'broadcast'

-- name: broadcasts
-- Arguments: exchange, after id, limit. Returns (id, payload).
SELECT id, payload FROM broadcast WHERE exchange = ? AND id > ? ORDER BY id LIMIT ?

-- name: listen
-- Arguments: exchange, socket.
INSERT OR REPLACE INTO listener (exchange, socket) VALUES (?, ?)

-- name: unlisten
-- Arguments: exchange, socket.
DELETE FROM listener WHERE exchange = ? AND socket = ?

-- name: listeners
-- Arguments: exchange. Returns (socket).
SELECT socket FROM listener WHERE exchange = ?
