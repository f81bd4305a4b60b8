-- Results, and who waits for a result.

-- name: store
-- Store results; an unexpired SUCCESS gives way to another SUCCESS only. The row of values is repeated for each result.
-- Arguments: task_id, success, expires, payload, of each; now.
INSERT INTO result (task_id, success, expires, payload) VALUES (?, ?, ?, ?)
ON CONFLICT (task_id) DO UPDATE
SET success = excluded.success, expires = excluded.expires, payload = excluded.payload
WHERE NOT result.success OR excluded.success OR result.expires <= ?

-- name: read
-- Arguments: task_id, now. Returns (payload) or no row.
SELECT payload FROM result WHERE task_id = ? AND (expires IS NULL OR expires > ?)

-- name: read_many
-- Arguments: a JSON array of task ids, now. Returns (task_id, payload).
SELECT task_id, payload FROM result
WHERE task_id IN (SELECT value FROM json_each(?)) AND (expires IS NULL OR expires > ?)

-- name: forget
-- Arguments: a JSON array of task ids.
DELETE FROM result WHERE task_id IN (SELECT value FROM json_each(?))

-- name: any_reader
-- Returns (1) or no row.
SELECT 1 FROM reader LIMIT 1

-- name: readers
-- The readers of one task. Arguments: task id. Returns (socket, told).
SELECT socket, told FROM reader WHERE task_id = ?

-- name: tell
-- Mark the readers of these tasks who want that. Arguments: a JSON array of task ids. Returns (socket), possibly several
-- times.
UPDATE reader SET told = max(told, 1) WHERE task_id IN (SELECT value FROM json_each(?)) RETURNING socket

-- name: watch
-- Arguments: socket, told, a JSON array of task ids.
-- Invariant: the same transaction reads the results of the tasks, so that none is missed.
INSERT OR REPLACE INTO reader (socket, told, task_id) SELECT ?, ?, value FROM json_each(?)

-- name: take_told
-- What was stored for a reader since it last asked; it is no longer told of these. Arguments: socket. Returns (task_id).
DELETE FROM reader WHERE socket = ? AND told = 1 RETURNING task_id

-- name: unwatch
-- Arguments: socket, a JSON array of task ids.
DELETE FROM reader WHERE socket = ? AND task_id IN (SELECT value FROM json_each(?))
