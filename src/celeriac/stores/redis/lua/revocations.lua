-- Read the revocations after a number. KEYS as revoke.lua; ARGV the number. Returns {the counter, records}.
local AT_ONCE = 1000
local count = tonumber(call('GET', KEYS[1]) or 0)
local after = tonumber(ARGV[1])
if after > count then after = 0 end -- the counter began anew: the server was emptied
local ids, records, now = call('ZRANGEBYSCORE', KEYS[2], '(' .. after, '+inf'), {}, clock()
for first = 1, #ids, AT_ONCE do
  local last = math.min(first + AT_ONCE - 1, #ids)
  local ends = call('ZMSCORE', KEYS[4], unpack(ids, first, last))
  for place, record in ipairs(call('HMGET', KEYS[3], unpack(ids, first, last))) do
    if record and ends[place] and tonumber(ends[place]) > now then records[#records + 1] = record end
  end
end
return {count, records}
