-- What has expired goes, a bounded number of rows at a time. Arguments of each: now, limit.

-- name: results
DELETE FROM result WHERE id IN (SELECT id FROM result WHERE expires <= ? ORDER BY expires LIMIT ?)

-- name: dead_letters
DELETE FROM dead WHERE id IN (SELECT id FROM dead WHERE expires <= ? ORDER BY expires LIMIT ?)

-- name: chord_parts
DELETE FROM chord_part WHERE rowid IN (SELECT rowid FROM chord_part WHERE expires <= ? ORDER BY expires LIMIT ?)

-- name: settled
DELETE FROM settled WHERE id IN (SELECT id FROM settled WHERE expires <= ? ORDER BY expires LIMIT ?)

-- name: revocations
DELETE FROM revocation WHERE counter IN (SELECT counter FROM revocation WHERE expires <= ? LIMIT ?)

-- name: slots
DELETE FROM claimed_once WHERE (name, slot) IN (SELECT name, slot FROM claimed_once WHERE expires <= ? LIMIT ?)
