-- Idle workers: who is to be woken for which queue.

-- name: register
-- Arguments: queue, socket, alarm, room, holder, lease, batch.
INSERT OR REPLACE INTO waiter (queue, socket, alarm, room, holder, lease, batch) VALUES (?, ?, ?, ?, ?, ?, ?)

-- name: wake
-- Mark waiters of a queue who have no wake-up pending and room for more than what they were handed, those first who
-- slept longest. Arguments: now, queue, queue, woken before, limit. Returns (socket).
UPDATE waiter SET woken = ?
WHERE queue = ? AND socket IN (
    SELECT socket FROM waiter
    WHERE queue = ? AND woken < ? AND (
        room <> 1 OR NOT EXISTS (SELECT 1 FROM lease WHERE lease.id = waiter.handed AND lease.batch = waiter.batch)
    )
    ORDER BY woken LIMIT ?
)
RETURNING socket

-- name: any_waiter
-- Arguments: queue. Returns (1) or no row.
SELECT 1 FROM waiter WHERE queue = ? LIMIT 1

-- name: hand_over
-- Give a message to a waiter of its queue, if nothing else is ready there and one waits who has room, is not about to
-- look by itself, and has ended what it was handed before. Arguments: 1 id, 2 queue, 3 now, 4 woken before.
-- Returns (socket, holder, lease, batch, revocations or NULL) once for each queue of the waiter, or no row.
-- Invariant: the same transaction leases the message to that holder under that batch.
UPDATE waiter SET handed = ?1, batch = batch + 1
WHERE socket = (
    SELECT socket FROM waiter
    WHERE queue = ?2 AND room > 0 AND alarm > ?3 AND woken < ?4
        AND NOT EXISTS (SELECT 1 FROM lease WHERE lease.id = waiter.handed AND lease.batch = waiter.batch)
        AND NOT EXISTS (SELECT 1 FROM ready WHERE ready.queue = ?2)
    LIMIT 1
)
RETURNING socket, holder, lease, batch, (SELECT seq FROM sqlite_sequence WHERE name = 'revocation')

-- name: only_ring
-- Hand nothing over to a waiter who could not be reached, and do not wake it for a while.
-- Arguments: now, socket.
UPDATE waiter SET room = 0, woken = ? WHERE socket = ?

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
-- Arguments: socket. Returns (queue, handed, batch).
DELETE FROM waiter WHERE socket = ? RETURNING queue, handed, batch

-- name: forget_reader
-- Arguments: socket.
DELETE FROM reader WHERE socket = ?

-- name: forget_listener
-- Arguments: socket.
DELETE FROM listener WHERE socket = ?
