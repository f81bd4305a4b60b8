-- Register a waiter, before its BLMOVE, so that others find its list when it dies.
-- KEYS waiters; ARGV the registration, lease in seconds
call('ZREM', KEYS[1], '') -- first a write that frees: see heartbeat.lua
return call('ZADD', KEYS[1], stamp(clock() + tonumber(ARGV[2])), ARGV[1])
