-- Helpers of every script. Scripts run alone on the server, so nothing changes between two of their commands.
-- An error ends a script without undoing what it wrote: so each checks types and fences before its first write.
-- At `maxmemory` the server refuses a script whose first write may need memory, and lets one go on that began with a
-- write that frees: so each that ends work begins with HDEL or ZREM.
local call, format, floor = redis.call, string.format, math.floor

-- The server's time, seconds since the epoch.
local function clock()
  local time = call('TIME')
  return tonumber(time[1]) + tonumber(time[2]) / 1000000
end

-- A time as text with microseconds (Lua itself writes 14 digits only).
local function stamp(time)
  return format('%.6f', time)
end

-- Leases and their copies in unacked_index have whole numbers as scores (milliseconds, seconds): small sorted sets keep
-- them as such and compare them without parsing text, which halves the cost of a claim.
local function lease_score(time)
  return format('%d', math.ceil(time * 1000))
end

local function index_score(time)
  return format('%d', math.ceil(time))
end

-- The envelope within an entry of `unacked` that is ours: [<envelope>,"",<queue as JSON>]. The last such comma is the
-- right one: a quotation mark within a JSON text has a backslash before it.
local function envelope_of(entry)
  return string.match(entry, '^%[(.*),"","')
end

-- What names a message in `deliveries`: its delivery tag, which survives every way through the queues.
local function tag_of(envelope)
  local ok, message = pcall(cjson.decode, envelope)
  if ok and type(message) == 'table' and type(message.properties) == 'table' then
    local tag = message.properties.delivery_tag
    if type(tag) == 'string' then return tag end
  end
  return redis.sha1hex(envelope)
end

-- Remember about a message: lost and counted are added, granted (0 or 1) replaces.
-- A record is "<losses> <granted> <holds> <time>"; messages that nothing happened to have none.
local function note(deliveries, envelope, lost, granted, counted, now)
  local tag = tag_of(envelope)
  local losses, holds = 0, 0
  local old = call('HGET', deliveries, tag)
  if old then
    local a, b = string.match(old, '^(%d+) %d (%d+)')
    losses, holds = tonumber(a), tonumber(b)
  elseif lost + granted + counted == 0 then
    return
  end
  call('HSET', deliveries, tag, format('%d %d %d %d', losses + lost, granted, holds + counted, now))
end

-- Hold a message until it is due. held: sorted set; due_key: string with the time of its head.
local function hold(held, due_key, member, due)
  call('ZADD', held, due, member)
  local head = call('GET', due_key)
  if not head or tonumber(due) < tonumber(head) then call('SET', due_key, due) end
end
