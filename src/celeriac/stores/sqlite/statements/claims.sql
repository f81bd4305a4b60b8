-- Claims: from ready to lease, and the leases' life.

-- name: priorities
-- The first and the last priority that a queue has ready. Arguments: ?1 queue. Returns (first, last), NULL when empty.
SELECT
    (SELECT priority FROM ready WHERE queue = ?1 ORDER BY priority LIMIT 1),
    (SELECT priority FROM ready WHERE queue = ?1 ORDER BY priority DESC LIMIT 1)

-- name: by_priority
-- The next messages of a queue by priority. Arguments: queue, limit. Returns (priority, place, id).
SELECT priority, place, id FROM ready WHERE queue = ? ORDER BY priority, place LIMIT ?

-- name: of_priority
-- The next messages of one priority. Arguments: queue, priority, limit. Returns (priority, place, id).
SELECT priority, place, id FROM ready WHERE queue = ? AND priority = ? ORDER BY place LIMIT ?

-- name: next
-- The next messages of one priority, whole.
-- Arguments: queue, priority, limit. Returns (place, id, losses, granted, holds, payload).
SELECT ready.place, message.id, message.losses, message.granted, message.holds, message.payload
FROM ready JOIN message ON message.id = ready.id
WHERE ready.queue = ? AND ready.priority = ? ORDER BY ready.place LIMIT ?

-- name: lease_through
-- Lease what `next` returned, the same transaction deletes it from ready.
-- Arguments: holder, batch, deadline, queue, priority, last place.
INSERT INTO lease (id, queue, holder, batch, deadline)
SELECT id, queue, ?, ?, ? FROM ready WHERE queue = ? AND priority = ? AND place <= ?

-- name: delete_through
-- Arguments: queue, priority, last place.
DELETE FROM ready WHERE queue = ? AND priority = ? AND place <= ?

-- name: lease
-- Arguments: id, queue, holder, batch, deadline.
INSERT INTO lease (id, queue, holder, batch, deadline) VALUES (?, ?, ?, ?, ?)

-- name: delete_ready
-- Arguments: queue, priority, place.
DELETE FROM ready WHERE queue = ? AND priority = ? AND place = ?

-- name: delivery
-- Arguments: id. Returns (losses, granted, holds, payload).
SELECT losses, granted, holds, payload FROM message WHERE id = ?

-- name: end
-- End a lease: the fence. Arguments: id, batch, holder. One row is deleted, or none when the claim is stale.
DELETE FROM lease WHERE id = ? AND batch = ? AND holder = ?

-- name: renew
-- Arguments: deadline, id, batch, holder. One row is updated, or none when the claim is stale.
UPDATE lease SET deadline = ? WHERE id = ? AND batch = ? AND holder = ?

-- name: end_expired
-- End the leases whose deadline has passed. Arguments: now. Returns (id, queue).
-- Invariant: the same transaction makes the ids ready again.
DELETE FROM lease WHERE deadline <= ? RETURNING id, queue

-- name: next_deadline
-- When the first lease ends. Returns (deadline), NULL when there is none.
SELECT min(deadline) FROM lease

-- name: revocation_count
-- Returns (count) or no row.
SELECT seq FROM sqlite_sequence WHERE name = 'revocation'
