-- What has expired goes, a bounded number of rows at a time. Arguments of each: now, limit.

-- name: results
DELETE FROM result WHERE id IN (SELECT id FROM result WHERE expires <= ? ORDER BY expires LIMIT ?)

-- name: dead_letters
DELETE FROM dead WHERE id IN (SELECT id FROM dead WHERE expires <= ? ORDER BY expires LIMIT ?)

-- name: chord_parts
DELETE FROM chord_part WHERE rowid IN (
    SELECT chord_part.rowid FROM chord JOIN chord_part ON chord_part.group_id = chord.group_id
    WHERE chord.expires <= ? ORDER BY chord.expires LIMIT ?
)

-- name: chords
DELETE FROM chord WHERE group_id IN (
    SELECT group_id FROM chord
    WHERE expires <= ? AND NOT EXISTS (SELECT 1 FROM chord_part WHERE chord_part.group_id = chord.group_id)
    ORDER BY expires LIMIT ?
)

-- name: documents
DELETE FROM document WHERE id IN (SELECT id FROM document WHERE expires <= ? ORDER BY expires LIMIT ?)

-- name: settled
DELETE FROM settled WHERE id IN (SELECT id FROM settled WHERE expires <= ? ORDER BY expires LIMIT ?)

-- name: revocations
DELETE FROM revocation WHERE counter IN (SELECT counter FROM revocation WHERE expires <= ? LIMIT ?)

-- name: slots
DELETE FROM claimed_once WHERE (name, slot) IN (SELECT name, slot FROM claimed_once WHERE expires <= ? LIMIT ?)
