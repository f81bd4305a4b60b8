-- Store results and chord parts for a broker that is elsewhere, each settlement with a record once.
--
-- KEYS[1..R]       the records of the settlements that have one
-- KEYS[R+1..R+M]   the records of settlements whose follow-ups are published
-- KEYS[R+M+1..]    the special keys that operations name by place
-- ARGV[1..6]       R; M; lifetime of a record in milliseconds; database of results or ''; types of the special keys, a
--                  letter each (see settle.lua); what a record says of follow-ups that are published
-- ARGV[7..6+R]     what each record holds until then
-- ARGV[7+R..]      operations: a letter, the number of the record that it belongs to (0: none), and
--   R key document lifetime check  store a result and tell
--   C key identity score member size lifetime   count a chord part
--
-- Returns for each of the R records false when it is new, else what it held.
--
-- Invariants: the operations of a record that was there are left out; nothing fails after the first write, so that a
-- record and its operations are one step; a repetition changes nothing and tells what the first one recorded.
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
at = at + records + 1
while at <= #ARGV do
  local skipped = found[tonumber(ARGV[at + 1])]
  if ARGV[at] == 'R' then
    if not skipped then store_document(KEYS[special + ARGV[at + 2]], ARGV[at + 3], ARGV[at + 4], ARGV[at + 5]) end
    at = at + 6
  else
    if not skipped then
      count_part(special + ARGV[at + 2], ARGV[at + 3], ARGV[at + 4], ARGV[at + 5], ARGV[at + 6], ARGV[at + 7])
    end
    at = at + 8
  end
end
return found
