-- Drop all ready and held messages of a queue. KEYS held, due, lists. Returns how many.
local dropped = call('ZCARD', KEYS[1])
for list = 3, #KEYS do dropped = dropped + call('LLEN', KEYS[list]) end
call('UNLINK', unpack(KEYS))
return dropped
