-- Take dead letters out: back to their queues, or dropped.
--
-- KEYS  dead letters, their index, their counts by queue, then lists
-- ARGV  for each: id, place of its list among the lists (0: drop)
--
-- Returns how many there were. A record is "<died> TAB <losses> TAB <queue> TAB <reason> LF <envelope>", queue and reason
-- as JSON; its losses were forgotten when it died.
local done = 0
call('HLEN', KEYS[1]); call('ZCARD', KEYS[2]); call('HLEN', KEYS[3])
for list = 4, #KEYS do call('LLEN', KEYS[list]) end
for at = 1, #ARGV, 2 do
  local record = call('HGET', KEYS[1], ARGV[at])
  if record then
    local queue, envelope = string.match(record, '^[^\t]*\t[^\t]*\t([^\t]*)\t[^\n]*\n(.*)$')
    call('HDEL', KEYS[1], ARGV[at])
    call('ZREM', KEYS[2], ARGV[at])
    if call('HINCRBY', KEYS[3], queue, -1) <= 0 then call('HDEL', KEYS[3], queue) end
    local list = tonumber(ARGV[at + 1])
    if list > 0 then call('LPUSH', KEYS[3 + list], envelope) end
    done = done + 1
  end
end
return done
