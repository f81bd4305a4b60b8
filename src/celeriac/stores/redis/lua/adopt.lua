-- Move what BLMOVE brought to a waiter that does not fetch it back to the front of its queue; nobody ran it, so it is
-- not counted.
--
-- KEYS  waiters, the waiter's list, its queue's list
-- ARGV  the waiter's registration, 1 when the waiter itself asks (else only when its registration has ended), 1 to delete
--       the registration
--
-- Returns how many were moved. A registration that ended is kept for an hour: a frozen worker's BLMOVE may still be
-- under way, and only registered lists are looked at.
local MOVED_AT_ONCE, KEPT = 100, 3600
local score = call('ZSCORE', KEYS[1], ARGV[1])
local now = clock()
if ARGV[2] ~= '1' and not (score and tonumber(score) <= now) then return 0 end
local moved = 0
if call('LLEN', KEYS[2]) > 0 then
  call('LLEN', KEYS[3])
  call('ZREM', KEYS[1], '')
end
while moved < MOVED_AT_ONCE and call('EXISTS', KEYS[2]) == 1 and call('LMOVE', KEYS[2], KEYS[3], 'LEFT', 'RIGHT') do moved = moved + 1 end
local over = ARGV[3] == '1' or (score and tonumber(score) < now - KEPT)
if over and call('LLEN', KEYS[2]) == 0 then call('ZREM', KEYS[1], ARGV[1]) end
return moved
