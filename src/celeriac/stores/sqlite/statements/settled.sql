-- Records of settlements: follow-ups that another broker publishes, and that some are published here (COPY_LIFETIME).

-- name: find
-- Arguments: a JSON array of identities, now. Returns (identity, follow_ups), follow_ups NULL once they are published.
SELECT identity, follow_ups FROM settled
WHERE identity IN (SELECT value FROM json_each(?)) AND expires > ?

-- name: store
-- Arguments: identity, follow_ups, expires, of each; the row of values is repeated for each record.
-- Invariant: the same transaction has found no record of these identities that is not expired, or marks them.
INSERT INTO settled (identity, follow_ups, expires) VALUES (?, ?, ?)
ON CONFLICT (identity) DO UPDATE SET follow_ups = excluded.follow_ups, expires = excluded.expires
