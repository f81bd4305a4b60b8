-- Renew leases, and look for those that nobody renews.
--
-- KEYS  unacked_index, leases, waiters
-- ARGV  lease in seconds, visibility timeout in seconds, most entries to report (0: only renew), registrations of this
--       worker (how many, then each), then the claims
--
-- Returns {places of the claims that are no longer ours, claims whose lease has ended, Celery's entries that are older
-- than the visibility timeout, registrations that have ended, registrations in all}. Changes nothing of others: that is
-- restore.lua's, which checks again.
--
-- Celery's entries are those in unacked_index that are not in `leases`: a short lease never applies to them, because
-- Celery does not renew. An entry of ours that lost its lease record (an evicted or deleted key) is found the same way.
local lease, visibility, most, members = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local first = 4 + members
local now = clock()
call('ZCARD', KEYS[1]); call('ZCARD', KEYS[3])
call('ZREM', KEYS[2], '') -- first a write that frees: leases are to be renewed at `maxmemory` too
local lost, kept, index = {}, {}, {}
local ends, ends_index = lease_score(now + lease), index_score(now + lease)
if #ARGV > first then
  for place, score in ipairs(call('ZMSCORE', KEYS[2], unpack(ARGV, first + 1))) do
    if score then
      local size = #kept
      kept[size + 1], kept[size + 2] = ends, ARGV[first + place]
      index[size + 1], index[size + 2] = ends_index, ARGV[first + place]
    else
      lost[#lost + 1] = place
    end
  end
end
if #kept > 0 then
  call('ZADD', KEYS[2], 'XX', unpack(kept))
  call('ZADD', KEYS[1], 'XX', unpack(index))
end
for place = 1, members do call('ZADD', KEYS[3], stamp(now + lease), ARGV[4 + place]) end
if most == 0 then return {lost, {}, {}, {}, call('ZCARD', KEYS[3])} end

local ended = call('ZRANGEBYSCORE', KEYS[2], '-inf', format('%d', now * 1000), 'LIMIT', 0, most)
local old = call('ZRANGEBYSCORE', KEYS[1], '-inf', stamp(now - visibility), 'LIMIT', 0, most)
local foreign = {}
if #old > 0 then
  for place, score in ipairs(call('ZMSCORE', KEYS[2], unpack(old))) do
    if not score then foreign[#foreign + 1] = old[place] end
  end
end
local gone = call('ZRANGEBYSCORE', KEYS[3], '-inf', stamp(now), 'LIMIT', 0, most)
return {lost, ended, foreign, gone, call('ZCARD', KEYS[3])}
