-- Forget what is over, in bounded steps.
--
-- KEYS  dead letters, their index, their counts by queue, deliveries, revocations' order, their records, their ends
-- ARGV  lifetime of dead letters in seconds or '' for ever, lifetime of a record in deliveries in seconds
--
-- Returns how many dead letters were removed. Records in deliveries outlive their message when a Celery worker took it;
-- a few are looked at each time.
local AT_ONCE, LOOKED_AT = 100, 20
local now, removed = clock(), 0
if ARGV[1] ~= '' then
  local ids = call('ZRANGEBYSCORE', KEYS[2], '-inf', stamp(now - tonumber(ARGV[1])), 'LIMIT', 0, AT_ONCE)
  for _, id in ipairs(ids) do
    local queue = string.match(call('HGET', KEYS[1], id) or '', '^[^\t]*\t[^\t]*\t([^\t]*)\t')
    if queue and call('HINCRBY', KEYS[3], queue, -1) <= 0 then call('HDEL', KEYS[3], queue) end
    call('HDEL', KEYS[1], id)
    call('ZREM', KEYS[2], id)
  end
  removed = #ids
end
if call('HLEN', KEYS[4]) > 0 then
  local records = call('HRANDFIELD', KEYS[4], LOOKED_AT, 'WITHVALUES')
  for i = 1, #records, 2 do
    if tonumber(string.match(records[i + 1], '%d+$')) < now - tonumber(ARGV[2]) then call('HDEL', KEYS[4], records[i]) end
  end
end
local over = call('ZRANGEBYSCORE', KEYS[7], '-inf', stamp(now), 'LIMIT', 0, AT_ONCE)
if #over > 0 then
  call('ZREM', KEYS[5], unpack(over)); call('HDEL', KEYS[6], unpack(over)); call('ZREM', KEYS[7], unpack(over))
end
return removed
