-- Messages on their way in, and their way back. `place` decides the order within a queue and a priority.

-- name: last_id
-- The newest message's id. Returns (id), NULL when there is none.
SELECT max(id) FROM message

-- name: insert
-- Arguments: id, queue, priority, payload.
-- Invariant: the same transaction gives the id a place (make_ready or hold).
INSERT INTO message (id, queue, priority, payload) VALUES (?, ?, ?, ?)

-- name: insert_next
-- The same for one message, whose id is the next one. Arguments: queue, priority, payload.
INSERT INTO message (queue, priority, payload) VALUES (?, ?, ?)

-- name: make_ready
-- Arguments: queue, priority, place, id.
INSERT INTO ready (queue, priority, place, id) VALUES (?, ?, ?, ?)

-- name: hold
-- Arguments: queue, due, id.
INSERT INTO held (queue, due, id) VALUES (?, ?, ?)

-- name: front
-- The smallest place in use. Arguments: queue, priority. Returns (place) or no row.
SELECT place FROM ready WHERE queue = ? AND priority = ? ORDER BY place LIMIT 1

-- name: due
-- Held messages that are due, the earliest first. Arguments: queue, now, limit. Returns (due, id, priority).
SELECT held.due, held.id, message.priority FROM held JOIN message ON message.id = held.id
WHERE held.queue = ? AND held.due <= ? ORDER BY held.due, held.id LIMIT ?

-- name: release
-- Arguments: queue, due, id. Invariant: the same transaction makes the id ready.
DELETE FROM held WHERE queue = ? AND due = ? AND id = ?

-- name: next_due
-- When the first held message of a queue is due. Arguments: queue. Returns (due) or no row.
SELECT due FROM held WHERE queue = ? ORDER BY due LIMIT 1

-- name: delete
-- Arguments: a JSON array of ids. Invariant: their rows in ready, held or lease are gone in the same transaction.
DELETE FROM message WHERE id IN (SELECT value FROM json_each(?))

-- name: delete_one
-- Arguments: id. Invariant: as of `delete`.
DELETE FROM message WHERE id = ?

-- name: read
-- Arguments: id. Returns (queue, priority, losses, payload) or no row.
SELECT queue, priority, losses, payload FROM message WHERE id = ?

-- name: mark_returned
-- A message that returns to the front. Arguments: losses to add, id. Returns (queue, priority).
UPDATE message SET losses = losses + ?, granted = 0 WHERE id = ? RETURNING queue, priority

-- name: mark_held
-- Arguments: granted, holds to add, id. Returns (queue).
UPDATE message SET granted = ?, holds = holds + ? WHERE id = ? RETURNING queue
