-- Dead letters.

-- name: bury
-- Arguments: queue, priority, losses, reason, died, expires, payload.
-- Invariant: the same transaction deletes the message.
INSERT INTO dead (queue, priority, losses, reason, died, expires, payload) VALUES (?, ?, ?, ?, ?, ?, ?)

-- name: newest
-- Arguments: now, limit. Returns (id, queue, reason, died, losses, payload).
SELECT id, queue, reason, died, losses, payload FROM dead
WHERE expires IS NULL OR expires > ? ORDER BY id DESC LIMIT ?

-- name: newest_of_queue
-- Arguments: queue, now, limit. Returns (id, queue, reason, died, losses, payload).
SELECT id, queue, reason, died, losses, payload FROM dead
WHERE queue = ? AND (expires IS NULL OR expires > ?) ORDER BY id DESC LIMIT ?

-- name: find
-- Arguments: id, now. Returns (id, queue, reason, died, losses, payload) or no row.
SELECT id, queue, reason, died, losses, payload FROM dead WHERE id = ? AND (expires IS NULL OR expires > ?)

-- name: take
-- Arguments: id, now. Returns (queue, priority, payload) or no row.
DELETE FROM dead WHERE id = ? AND (expires IS NULL OR expires > ?) RETURNING queue, priority, payload
