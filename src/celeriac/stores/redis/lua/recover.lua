-- Read claims again whose reply was lost.
-- KEYS unacked, leases, deliveries; ARGV claims. Returns (place, entry, record or '') for those that are held.
local found = {}
local scores = call('ZMSCORE', KEYS[2], unpack(ARGV))
local entries = call('HMGET', KEYS[1], unpack(ARGV))
for place, entry in ipairs(entries) do
  if entry and scores[place] then
    local envelope = envelope_of(entry)
    local record = envelope and call('HGET', KEYS[3], tag_of(envelope))
    found[#found + 1] = place
    found[#found + 1] = entry
    found[#found + 1] = record or ''
  end
end
return found
