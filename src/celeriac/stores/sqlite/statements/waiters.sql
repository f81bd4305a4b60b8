-- Idle workers: who is to be woken for which queue.

-- name: register
-- Arguments: queue, socket, alarm.
INSERT OR REPLACE INTO waiter (queue, socket, alarm) VALUES (?, ?, ?)

-- name: unregister
-- Arguments: queue, socket.
DELETE FROM waiter WHERE queue = ? AND socket = ?

-- name: wake
-- Mark waiters of a queue who have no wake-up pending, those first who slept longest.
-- Arguments: now, queue, queue, woken before, limit. Returns (socket).
UPDATE waiter SET woken = ?
WHERE queue = ? AND socket IN (SELECT socket FROM waiter WHERE queue = ? AND woken < ? ORDER BY woken LIMIT ?)
RETURNING socket

-- name: sleeping_past
-- Waiters of a queue who would look too late. Arguments: queue, due. Returns (socket).
SELECT socket FROM waiter WHERE queue = ? AND alarm > ?

-- name: has_ready
-- Whether a queue has anything ready. Arguments: queue. Returns (1) or no row.
SELECT 1 FROM ready WHERE queue = ? LIMIT 1

-- name: sockets
-- Everybody who is registered for anything. Returns (socket).
SELECT socket FROM waiter UNION SELECT socket FROM reader UNION SELECT socket FROM listener

-- name: forget_waiter
-- Arguments: socket. Returns (queue).
DELETE FROM waiter WHERE socket = ? RETURNING queue

-- name: forget_reader
-- Arguments: socket.
DELETE FROM reader WHERE socket = ?

-- name: forget_listener
-- Arguments: socket.
DELETE FROM listener WHERE socket = ?
