-- Settle a batch of deliveries and claim the next ones, in one step.
--
-- KEYS[1..6]   unacked, unacked_index, leases, deliveries, revocations, own waiting list (see claiming.lua)
-- KEYS[7]      the record of the last batch that came over this connection
-- KEYS[8..]    P + U result keys, then the special keys that operations name by place, then those of claiming.lua
-- ARGV[1..11]  batch number; 1 when it is sent again; C claims; P plain results of claims; V claims whose envelope is
--              needed; U plain results that belong to no claim; lifetime of plain results in milliseconds; database of
--              results or ''; database of messages; types of the special keys, a letter each (l list, z sorted set,
--              h hash, s string, t set; capital: in the database of results); place in ARGV before the arguments of
--              claiming.lua, or 0
-- ARGV[12..]   C claims (the first P have the plain results, the last V need their envelope), P + U result documents,
--              then operations: a letter, the number of the claim that it belongs to (0: none), and
--   R key document lifetime check  store a result and tell; check 1: unless SUCCESS is stored; lifetime '' for ever
--   P key envelope                 publish at the end of a list
--   H key envelope due             publish held; key is the held set, the next one its due time
--   B channel payload              publish to a fanout exchange
--   G key lost                     give back to the front of a list; lost is added to its losses
--   K key digit due delay granted counted   hold; due '' means delay seconds from now
--   D key queue reason             dead letter; key is the hash, the next ones its index and its counts by queue
--   F tag                          forget what is known about a message
--   O key lifetime rest            remember in key that the next arguments (that many) were obeyed; if it says so, skip them
--   C key identity score member size lifetime skipped   count a chord's part (see chords.lua); as many arguments as
--                                  `skipped` says follow for its completion, and are skipped when it is not complete
--   A key count lifetime identity  members were added to a chord
--   X key lifetime                 close a chord
--   S key payload lifetime         store a document
--
-- Returns {places of the refused claims, what claim returns or ''}.
--
-- Invariants: a claim is settled only while it is in `leases` (and in `unacked`, once its lease has ended: a Celery peer
-- may have restored it); all operations of a refused claim are left out; a batch that is sent again after its reply was
-- lost does nothing and answers the same; acknowledgements come before what needs memory.
local RECORD_LIFETIME = 600 -- seconds; a reply is not waited for that long
local again, claims, plain, valued = ARGV[2] == '1', tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local unclaimed, results_at, home_at, types, claim_at = tonumber(ARGV[6]), ARGV[8], ARGV[9], ARGV[10], tonumber(ARGV[11])
local special = 7 + plain + unclaimed
local at = 11

local function finish(refused, marked)
  if claim_at == 0 then return {refused, ''} end
  return {refused, claim(special + #types, claim_at, marked)}
end

-- 1. Read and check.
local marked = check_fixed_keys()
if again then
  local record = call('GET', KEYS[7])
  if record and string.match(record, '^%d+') == ARGV[1] then
    local refused = {}
    for place in string.gmatch(string.match(record, ':(.*)$'), '%d+') do refused[#refused + 1] = tonumber(place) end
    return finish(refused, marked)
  end
end
check_types(special, types)
if results_at ~= '' then
  call('SELECT', results_at)
  check_types(special, string.lower(string.gsub(types, '%l', '-')))
  call('SELECT', home_at)
end
local now, refused, stale, envelopes = clock(), {}, {}, {}
if claims > 0 then
  local scores = call('ZMSCORE', KEYS[3], unpack(ARGV, at + 1, at + claims))
  for place = 1, claims do
    local score = scores[place]
    if not score or (tonumber(score) <= now * 1000 and call('HEXISTS', KEYS[1], ARGV[at + place]) == 0) then
      refused[#refused + 1] = place
      stale[place] = true
    end
  end
  if valued > 0 then
    local entries = call('HMGET', KEYS[1], unpack(ARGV, at + claims - valued + 1, at + claims))
    for i = 1, valued do
      local place = claims - valued + i
      envelopes[place] = entries[i] and envelope_of(entries[i])
      if not envelopes[place] and not stale[place] then
        refused[#refused + 1] = place
        stale[place] = true
      end
    end
  end
end

-- 2. Acknowledge.
if claims == 0 then
  call('HDEL', KEYS[1], '')
elseif #refused == 0 then
  call('HDEL', KEYS[1], unpack(ARGV, at + 1, at + claims))
  call('ZREM', KEYS[2], unpack(ARGV, at + 1, at + claims))
  call('ZREM', KEYS[3], unpack(ARGV, at + 1, at + claims))
else
  call('HDEL', KEYS[1], '')
  for place = 1, claims do
    if not stale[place] then
      local id = ARGV[at + place]
      call('HDEL', KEYS[1], id); call('ZREM', KEYS[2], id); call('ZREM', KEYS[3], id)
    end
  end
end
at = at + claims

-- 3. Store and publish.
if results_at ~= '' then call('SELECT', results_at) end
local lifetime = ARGV[7]
for place = 1, plain + unclaimed do
  if place > plain or not stale[place] then
    local key, document = KEYS[7 + place], ARGV[at + place]
    call('SET', key, document, 'PX', lifetime)
    call('PUBLISH', key, document)
  end
end
if results_at ~= '' then call('SELECT', home_at) end
at = at + plain + unclaimed

local function operations_by_letter() local chords = workflows() return {
  R = {6, function(p) store_document(KEYS[special + ARGV[p + 2]], ARGV[p + 3], ARGV[p + 4], ARGV[p + 5]) end, true},
  P = {4, function(p) call('LPUSH', KEYS[special + ARGV[p + 2]], ARGV[p + 3]) end},
  H = {5, function(p) hold(KEYS[special + ARGV[p + 2]], KEYS[special + ARGV[p + 2] + 1], ARGV[p + 3], ARGV[p + 4]) end},
  B = {4, function(p) call('PUBLISH', ARGV[p + 2], ARGV[p + 3]) end},
  G = {4, function(p, envelope)
    call('RPUSH', KEYS[special + ARGV[p + 2]], envelope)
    if ARGV[p + 3] ~= '0' then note(KEYS[4], envelope, tonumber(ARGV[p + 3]), 0, 0, now) end
  end},
  K = {8, function(p, envelope)
    local due = ARGV[p + 4] ~= '' and ARGV[p + 4] or stamp(now + tonumber(ARGV[p + 5]))
    hold(KEYS[special + ARGV[p + 2]], KEYS[special + ARGV[p + 2] + 1], ARGV[p + 3] .. envelope, due)
    note(KEYS[4], envelope, 0, tonumber(ARGV[p + 6]), tonumber(ARGV[p + 7]), now)
  end},
  D = {5, function(p, envelope)
    local key, id, tag = special + ARGV[p + 2], ARGV[11 + ARGV[p + 1]], tag_of(envelope)
    local record = call('HGET', KEYS[4], tag)
    local losses = record and string.match(record, '^%d+') or '0'
    call('HDEL', KEYS[4], tag)
    call('HSET', KEYS[key], id, table.concat({stamp(now), losses, ARGV[p + 3], ARGV[p + 4]}, '\t') .. '\n' .. envelope)
    call('ZADD', KEYS[key + 1], stamp(now), id)
    call('HINCRBY', KEYS[key + 2], ARGV[p + 3], 1)
  end},
  F = {3, function(p) call('HDEL', KEYS[4], ARGV[p + 2]) end},
  O = {5, function(p)
    if not call('SET', KEYS[special + ARGV[p + 2]], '', 'NX', 'PX', ARGV[p + 3]) then return tonumber(ARGV[p + 4]) end
  end},
  C = {9, function(p)
    local key = special + ARGV[p + 2]
    local outcome = chords.count(key, ARGV[p + 3], ARGV[p + 4], ARGV[p + 5], ARGV[p + 6], ARGV[p + 7])
    return outcome ~= 1 and tonumber(ARGV[p + 8]) or 0
  end, true},
  A = {6, function(p) chords.grow(special + ARGV[p + 2], ARGV[p + 3], ARGV[p + 4], ARGV[p + 5]) end, true},
  X = {4, function(p) chords.close(special + ARGV[p + 2], ARGV[p + 3]) end, true},
  S = {5, function(p) chords.put(KEYS[special + ARGV[p + 2]], ARGV[p + 3], ARGV[p + 4]) end, true},
} end
local last = claim_at == 0 and #ARGV or claim_at
at = at + 1
local operations = at <= last and operations_by_letter()
while at <= last do
  local operation, owner, skipped = operations[ARGV[at]], tonumber(ARGV[at + 1]), nil
  if not stale[owner] then
    local elsewhere = operation[3] and results_at ~= ''
    if elsewhere then call('SELECT', results_at) end
    skipped = operation[2](at, envelopes[owner])
    if elsewhere then call('SELECT', home_at) end
  end
  at = at + operation[1] + (skipped or 0)
end

call('SET', KEYS[7], ARGV[1] .. ':' .. table.concat(refused, ','), 'EX', RECORD_LIFETIME)
return finish(refused, call('HLEN', KEYS[4]) > 0)
