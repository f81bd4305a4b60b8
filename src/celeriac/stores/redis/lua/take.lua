-- Claim the one message that BLMOVE brought and that the worker has seen already: it may be running by now.
--
-- KEYS  unacked, unacked_index, leases, deliveries, revocations, own waiting list
-- ARGV  claim, lease in seconds, envelope, the tail of its entry
--
-- Returns {1 when it is ours, else 0; revocations; 1 when `deliveries` knows any message, else 0; tag; what is known of
-- this one, or ''}.
--
-- Invariants: the message goes from the list into unacked, unacked_index and leases in this one step, or stays where it
-- is; sent again after a lost reply it changes nothing and answers the same. It is not ours when another worker adopted
-- our list meanwhile: then nothing that is said under this claim counts.
local marked = call('HLEN', KEYS[4]) > 0
local revocations = tonumber(call('GET', KEYS[5]) or 0)
call('HLEN', KEYS[1]); call('ZCARD', KEYS[2]); call('ZCARD', KEYS[3])
local function answer(found)
  if not marked then return {found, revocations, 0, '', ''} end
  local tag = tag_of(ARGV[3])
  return {found, revocations, 1, tag, call('HGET', KEYS[4], tag) or ''}
end
if call('LREM', KEYS[6], -1, ARGV[3]) == 0 then return answer(call('HEXISTS', KEYS[1], ARGV[1])) end
local ends = clock() + tonumber(ARGV[2])
call('HSET', KEYS[1], ARGV[1], '[' .. ARGV[3] .. ARGV[4])
call('ZADD', KEYS[2], index_score(ends), ARGV[1])
call('ZADD', KEYS[3], lease_score(ends), ARGV[1])
return answer(1)
