-- Store revocations and tell all workers.
--
-- KEYS  revocations (a counter), their order (task id -> number), their records, their ends (task id -> time)
-- ARGV  lifetime in seconds, channel, announcement, then task id and record repeated
--
-- Returns the counter. A task that is revoked again gets a new number and a new end.
call('ZCARD', KEYS[2]); call('HLEN', KEYS[3]); call('ZCARD', KEYS[4])
local ends, number = stamp(clock() + tonumber(ARGV[1])), 0
for at = 4, #ARGV, 2 do
  number = call('INCR', KEYS[1])
  call('ZADD', KEYS[2], number, ARGV[at])
  call('HSET', KEYS[3], ARGV[at], ARGV[at + 1])
  call('ZADD', KEYS[4], ends, ARGV[at])
end
call('PUBLISH', ARGV[2], ARGV[3])
return number
