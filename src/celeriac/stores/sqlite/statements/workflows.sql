-- Chords and documents.

-- name: chord
-- Arguments: 1 group_id, 2 now. Returns (counted, size, grown, complete, closed, expires, payload of the document of kind
-- "size"); everything is NULL that is not there.
SELECT counted, size, grown, complete, closed, chord.expires, document.payload FROM (SELECT ?1 AS name) AS wanted
LEFT JOIN chord ON chord.group_id = wanted.name
LEFT JOIN document ON document.kind = 'size' AND document.name = wanted.name
    AND (document.expires IS NULL OR document.expires > ?2)

-- name: store_chord
-- Arguments: group_id, counted, size, grown, complete, closed, expires.
-- Invariant: the same transaction has read what it replaces.
INSERT OR REPLACE INTO chord (group_id, counted, size, grown, complete, closed, expires) VALUES (?, ?, ?, ?, ?, ?, ?)

-- name: store_part
-- A part that was counted before is left alone. Arguments: group_id, position, task_id, payload, of each; the row of
-- values is repeated for each part. Returns (position, task_id) of those that are new.
-- Invariant: the same transaction adds them to the chord's count.
INSERT OR IGNORE INTO chord_part (group_id, position, task_id, payload) VALUES (?, ?, ?, ?)
RETURNING position, task_id

-- name: is_counted
-- Arguments: group_id, position, task_id. Returns (1) or no row.
SELECT 1 FROM chord_part WHERE group_id = ? AND position = ? AND task_id = ?

-- name: drop_parts
-- Arguments: group_id.
DELETE FROM chord_part WHERE group_id = ?

-- name: parts
-- Arguments: group_id, now. Returns (payload), in the order of positions.
SELECT chord_part.payload FROM chord JOIN chord_part ON chord_part.group_id = chord.group_id
WHERE chord.group_id = ? AND chord.expires > ? ORDER BY position, task_id

-- name: store_document
-- Arguments: kind, name, expires, payload, of each; the row of values is repeated for each document.
INSERT OR REPLACE INTO document (kind, name, expires, payload) VALUES (?, ?, ?, ?)

-- name: documents
-- Arguments: kind, a JSON array of names, now. Returns (name, payload).
SELECT name, payload FROM document
WHERE kind = ? AND name IN (SELECT value FROM json_each(?)) AND (expires IS NULL OR expires > ?)

-- name: drop_documents
-- Arguments: kind, a JSON array of names.
DELETE FROM document WHERE kind = ? AND name IN (SELECT value FROM json_each(?))
