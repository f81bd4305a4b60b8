-- What people and programs ask about queues.

-- name: count_ready
-- Arguments: queue. Returns (count).
SELECT count(*) FROM ready WHERE queue = ?

-- name: count_held
-- Arguments: queue. Returns (count) or no row.
SELECT held FROM held_count WHERE queue = ?

-- name: count_in_flight
-- Arguments: queue. Returns (count).
SELECT count(*) FROM lease WHERE queue = ?

-- name: count_dead
-- Arguments: queue, now. Returns (count).
SELECT count(*) FROM dead WHERE queue = ? AND (expires IS NULL OR expires > ?)

-- name: queues
-- The queues that hold any message; ready is read by skipping from name to name. Returns (queue).
WITH RECURSIVE filled (queue) AS (
    SELECT min(queue) FROM ready
    UNION ALL
    SELECT (SELECT min(queue) FROM ready WHERE ready.queue > filled.queue) FROM filled WHERE filled.queue IS NOT NULL
)
SELECT queue FROM filled WHERE queue IS NOT NULL
UNION SELECT queue FROM held_count WHERE held > 0
UNION SELECT queue FROM lease
ORDER BY queue

-- name: some_ready
-- Arguments: queue, last id, limit. Returns (priority, place, id).
SELECT priority, place, id FROM ready WHERE queue = ? AND id <= ? LIMIT ?

-- name: some_held
-- Arguments: queue, last id, limit. Returns (due, id).
SELECT due, id FROM held WHERE queue = ? AND id <= ? LIMIT ?
