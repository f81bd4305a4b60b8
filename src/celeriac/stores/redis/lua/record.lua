-- Store results and effects for a broker that is elsewhere, each settlement with a record once.
--
-- KEYS[1..R]       the records of the settlements that have one
-- KEYS[R+1..R+M]   the records of settlements whose follow-ups are published
-- KEYS[R+M+1..]    the special keys that operations name by place
-- ARGV[1..6]       R; M; lifetime of a record in milliseconds; database of results or ''; types of the special keys, a
--                  letter each (see settle.lua); what a record says of follow-ups that are published
-- ARGV[7..6+R]     what each record holds until then: a msgpack array of messages
-- ARGV[7+R..]      operations: a letter, the number of the record that it belongs to (0: none), and
--   R A X S                        as in settle.lua
--   C key identity score member size lifetime more   count a chord's part (see chords.lua); more 2: its completion
--                                  follows, as the number of the settlement in the batch and the message as msgpack
--
-- Returns for each of the R records false when it is new, else what it held; then the completions that are to be
-- published, for each the number of its settlement and the message.
--
-- Invariants: the operations of a record that was there are left out; nothing fails after the first write, so that a
-- record and its operations are one step; a repetition changes nothing and tells what the first one recorded. Where
-- there is no record to tell them, completions are told again until their chord is closed.
local records, marks, lifetime = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3]
local special, at = records + marks, 6
if ARGV[4] ~= '' then call('SELECT', ARGV[4]) end
check_types(special, string.lower(ARGV[5]))
local found, held = {}, {}
for place = 1, marks do held[KEYS[records + place]] = ARGV[6] end
for place = 1, records do
  local key = KEYS[place]
  found[place] = held[key] or call('GET', key)
  held[key] = found[place] or ARGV[at + place] -- for the same one once more
end

for place = 1, marks do call('SET', KEYS[records + place], ARGV[6], 'PX', lifetime) end
for place = 1, records do
  if not found[place] then call('SET', KEYS[place], ARGV[at + place], 'PX', lifetime) end
end

-- A record with messages put before those that it holds.
local function with_messages(record, messages)
  local head, count, body = string.byte(record), nil, nil
  if head == 0xdd then
    count, body = struct.unpack('>I4', record, 2), 6
  elseif head == 0xdc then
    count, body = struct.unpack('>I2', record, 2), 4
  else
    count, body = head - 0x90, 2
  end
  return '\221' .. struct.pack('>I4', count + #messages) .. table.concat(messages) .. string.sub(record, body)
end

local completions, recorded = {}, {}
local chords = workflows()
local operations = {
  R = {6, function(p) store_document(KEYS[special + ARGV[p + 2]], ARGV[p + 3], ARGV[p + 4], ARGV[p + 5]) end},
  A = {6, function(p) chords.grow(special + ARGV[p + 2], ARGV[p + 3], ARGV[p + 4], ARGV[p + 5]) end},
  X = {4, function(p) chords.close(special + ARGV[p + 2], ARGV[p + 3]) end},
  S = {5, function(p) chords.put(KEYS[special + ARGV[p + 2]], ARGV[p + 3], ARGV[p + 4]) end},
  C = {9, function(p, owner)
    local key = special + ARGV[p + 2]
    local outcome = chords.count(key, ARGV[p + 3], ARGV[p + 4], ARGV[p + 5], ARGV[p + 6], ARGV[p + 7])
    if ARGV[p + 8] == '0' or outcome == 0 or (outcome == 2 and owner > 0) then return end
    completions[#completions + 1] = tonumber(ARGV[p + 9])
    completions[#completions + 1] = ARGV[p + 10]
    if owner > 0 then
      recorded[owner] = recorded[owner] or {}
      table.insert(recorded[owner], ARGV[p + 10])
    end
  end},
}
local first = at
at = at + records + 1
while at <= #ARGV do
  local letter, owner = ARGV[at], tonumber(ARGV[at + 1])
  if not found[owner] then operations[letter][2](at, owner) end
  at = at + operations[letter][1] + (letter == 'C' and tonumber(ARGV[at + 8]) or 0)
end
for place, messages in pairs(recorded) do
  call('SET', KEYS[place], with_messages(ARGV[first + place], messages), 'PX', lifetime)
end
for _, each in ipairs(completions) do found[#found + 1] = each end
return found
