-- Helper of claim.lua and settle.lua: claim messages.
--
-- KEYS[1..6]  unacked, unacked_index, leases, deliveries, revocations, the caller's own waiting list
-- KEYS from k for each queue: held, due, then one list for each priority step, the first served first
-- ARGV from a: limit, lease in seconds, prefix of the claims' ids, number before the first claim, messages served so far
--              (-1: strict priorities), queues, steps, for each priority 0..9 the place of its list,
--              the tail of entries from the waiting list, the tail of entries of each queue
--
-- Returns {revocations, milliseconds until the next held message is due (-1: none), runs, envelopes, marks, problem, any}:
--   runs       (home, how many) repeated; home is 0 for the waiting list, else (queue - 1) * steps + step
--   marks      (place, tag, record) repeated: what `deliveries` knows, for the envelopes that it knows
--   problem    the error of a list that could not be read, or ''
--   any        1 when `deliveries` knows any message, else 0
--
-- Claims are the prefix and twelve digits. Invariants: every message that leaves a list is in unacked, unacked_index and
-- leases when the script ends; scores are the lease's end; nothing that is in `unacked` is ever decoded and encoded again (cjson damages large integers).
local MOVED_AT_ONCE = 100 -- of held messages, for each queue: a million that are due together must not stop the server
local OLD_ONES = 8        -- every eighth message comes from the lists of low priority, each in turn

-- Reads that fail when a key has another type: called before the first write.
local function check_fixed_keys()
  call('HLEN', KEYS[1]); call('ZCARD', KEYS[2]); call('ZCARD', KEYS[3])
  return call('HLEN', KEYS[4]) > 0
end

-- Move due messages of one queue to the front of its lists; returns the time of the new head or false, and a problem.
local function release(at, steps, places, now)
  local held, due_key = KEYS[at + 1], KEYS[at + 2]
  local checked = redis.pcall('ZCARD', held)
  if type(checked) == 'table' then return false, checked.err end
  for step = 1, steps do
    local length = redis.pcall('LLEN', KEYS[at + 2 + step])
    if type(length) == 'table' then return false, length.err end
  end
  local members = call('ZRANGEBYSCORE', held, '-inf', stamp(now), 'LIMIT', 0, MOVED_AT_ONCE)
  if #members > 0 then
    call('ZREM', held, unpack(members))
    local by_step = {}
    for i = #members, 1, -1 do -- the earliest is pushed last and served first
      local step = tonumber(string.sub(places, string.byte(members[i]) - 47, string.byte(members[i]) - 47)) or 1
      by_step[step] = by_step[step] or {}
      table.insert(by_step[step], string.sub(members[i], 2))
    end
    for step, envelopes in pairs(by_step) do call('RPUSH', KEYS[at + 2 + step], unpack(envelopes)) end
  end
  local head = call('ZRANGE', held, 0, 0, 'WITHSCORES')
  if #head == 0 then
    call('DEL', due_key)
    return false
  end
  local due = stamp(tonumber(head[2]))
  call('SET', due_key, due)
  return due
end

local function claim(k, a, marked)
  local limit, lease = tonumber(ARGV[a + 1]), tonumber(ARGV[a + 2])
  local owner, number, served = ARGV[a + 3], tonumber(ARGV[a + 4]), tonumber(ARGV[a + 5])
  local queues, steps, places = tonumber(ARGV[a + 6]), tonumber(ARGV[a + 7]), ARGV[a + 8]
  local now, problem, next_due = clock(), '', nil
  local block = 2 + steps

  local known = {KEYS[5]}
  for queue = 1, queues do known[queue + 1] = KEYS[k + (queue - 1) * block + 2] end
  known = call('MGET', unpack(known))
  for queue = 1, queues do
    local due = known[queue + 1]
    if due and tonumber(due) <= now then
      local err
      due, err = release(k + (queue - 1) * block, steps, places, now)
      problem = err or problem
    end
    if due then next_due = math.min(tonumber(due), next_due or tonumber(due)) end
  end

  local count, runs, envelopes, fields = 0, {}, {}, {}
  local function take(list, most, home, tail)
    if most <= 0 then return 0 end
    local got = redis.pcall('RPOP', list, most)
    if not got then return 0 end
    if got.err then
      -- Only a list of another type is one queue's problem; what concerns the server is raised, before the first write.
      if count == 0 and not string.find(got.err, 'WRONGTYPE', 1, true) then call('RPOP', list, most) end
      problem = got.err .. ' ' .. list
      return 0
    end
    for i = 1, #got do
      count = count + 1
      envelopes[count] = got[i]
      fields[2 * count - 1], fields[2 * count] = owner .. format('%012d', number + count), '[' .. got[i] .. tail
    end
    runs[#runs + 1] = home
    runs[#runs + 1] = #got
    return #got
  end

  -- Serve one queue: by priority, and the eighths from the lists of low priority.
  local function serve(queue, most)
    local at, home, tail = k + (queue - 1) * block + 2, (queue - 1) * steps, ARGV[a + 9 + queue]
    local old, turn, before = 0, 0, count
    if served >= 0 and steps > 1 then
      turn = floor((served + count) / OLD_ONES)
      old = floor((served + count + most) / OLD_ONES) - turn
    end
    local left = most - old
    for step = 1, steps do
      if left <= 0 then break end
      left = left - take(KEYS[at + step], left, home + step, tail)
    end
    for place = 1, steps do -- the lower lists in turn, the first one last; none when the lists are empty by now
      if old <= 0 or left > 0 then break end
      local step = place == steps and 1 or 2 + (turn + place) % (steps - 1)
      old = old - take(KEYS[at + step], old, home + step, tail)
    end
    return count - before
  end

  take(KEYS[6], limit, 0, ARGV[a + 9])
  local exhausted = {}
  for queue = 1, queues do
    local share = math.ceil((limit - count) / (queues - queue + 1))
    exhausted[queue] = serve(queue, share) < share
  end
  for queue = 1, queues do
    if count >= limit then break end
    if not exhausted[queue] then serve(queue, limit - count) end
  end

  local marks = {}
  if count > 0 then
    call('HSET', KEYS[1], unpack(fields))
    -- From the last to the first: of equal scores the smaller member goes in front, where a small set looks first.
    local leases, index = {}, {}
    local ends, ends_index = lease_score(now + lease), index_score(now + lease)
    for i = 1, 2 * count, 2 do
      local id = fields[2 * count - i]
      leases[i], leases[i + 1] = ends, id
      index[i], index[i + 1] = ends_index, id
    end
    call('ZADD', KEYS[2], unpack(index))
    call('ZADD', KEYS[3], unpack(leases))
    if marked then
      local tags = {}
      for i = 1, count do tags[i] = tag_of(envelopes[i]) end
      for i, record in ipairs(call('HMGET', KEYS[4], unpack(tags))) do
        if record then
          marks[#marks + 1] = i
          marks[#marks + 1] = tags[i]
          marks[#marks + 1] = record
        end
      end
    end
  end
  local wait = next_due and math.max(0, math.ceil((next_due - now) * 1000)) or -1
  return {tonumber(known[1] or 0), wait, runs, envelopes, marks, problem, marked and 1 or 0}
end
