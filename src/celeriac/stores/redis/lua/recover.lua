-- Read claims again whose reply was lost.
-- KEYS unacked, leases, deliveries; ARGV claims. Returns (place, entry, tag, record or '') for those that are held.
local found = {}
local scores = call('ZMSCORE', KEYS[2], unpack(ARGV))
local entries = call('HMGET', KEYS[1], unpack(ARGV))
for place, entry in ipairs(entries) do
  if entry and scores[place] then
    local envelope = envelope_of(entry)
    local tag = tag_of(envelope or entry)
    for _, value in ipairs({place, entry, tag, call('HGET', KEYS[3], tag) or ''}) do found[#found + 1] = value end
  end
end
return found
