-- Claims: from ready to lease, and the leases' life.

-- name: priorities
-- The first and the last priority that a queue has ready. Arguments: queue, twice. Returns (first, last), NULL when empty.
SELECT
    (SELECT priority FROM ready WHERE queue = ? ORDER BY priority LIMIT 1),
    (SELECT priority FROM ready WHERE queue = ? ORDER BY priority DESC LIMIT 1)

-- name: by_priority
-- The next messages of a queue by priority. Arguments: queue, limit. Returns (priority, place, id).
SELECT priority, place, id FROM ready WHERE queue = ? ORDER BY priority, place LIMIT ?

-- name: of_priority
-- The next messages of one priority. Arguments: queue, priority, limit. Returns (priority, place, id).
SELECT priority, place, id FROM ready WHERE queue = ? AND priority = ? ORDER BY place LIMIT ?

-- name: next
-- The next messages of one priority, without their payloads, as one JSON array of
-- [place, id, losses, granted, holds, bytes of payload]. Arguments: queue, priority, limit.
SELECT json_group_array(json_array(place, id, losses, granted, holds, size)) FROM (
    SELECT ready.place, message.id, message.losses, message.granted, message.holds, length(message.payload) AS size
    FROM ready JOIN message ON message.id = ready.id
    WHERE ready.queue = ? AND ready.priority = ? ORDER BY ready.place LIMIT ?
)

-- name: payloads
-- The payloads of messages, one behind the other in the order of the array. Arguments: a JSON array of ids.
-- Invariant: the caller keeps the sum below what SQLite can hold in one value.
SELECT CAST(group_concat(CAST(payload AS TEXT), '') AS BLOB) FROM (
    SELECT message.payload FROM json_each(?) AS wanted JOIN message ON message.id = wanted.value ORDER BY wanted.key
)

-- name: payload
-- Arguments: id. Returns (payload).
SELECT payload FROM message WHERE id = ?

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

-- name: lost
-- The fence: which claims of one holder are stale. Arguments: a JSON object of ids and their batches, holder.
-- Returns one JSON array of the ids.
SELECT json_group_array(CAST(claim.key AS INTEGER))
FROM json_each(?) AS claim
LEFT JOIN lease ON lease.id = CAST(claim.key AS INTEGER) AND lease.batch = claim.value AND lease.holder = ?
WHERE lease.id IS NULL

-- name: end
-- Arguments: a JSON array of ids. Invariant: `lost` let all of them pass in the same transaction.
DELETE FROM lease WHERE id IN (SELECT value FROM json_each(?))

-- name: end_one
-- The fence and the end of one lease in one: one row is deleted while the claim holds, or none.
-- Arguments: id, batch, holder.
DELETE FROM lease WHERE id = ? AND batch = ? AND holder = ?

-- name: renew
-- Arguments: deadline, a JSON array of ids. Invariant: `lost` let all of them pass in the same transaction.
UPDATE lease SET deadline = ? WHERE id IN (SELECT value FROM json_each(?))

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
