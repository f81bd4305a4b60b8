-- Publish messages that are not due yet.
-- KEYS held, due time of its head; ARGV due, member (priority digit and envelope) repeated. Returns how many.
call('ZCARD', KEYS[1])
for at = 1, #ARGV, 2 do hold(KEYS[1], KEYS[2], ARGV[at + 1], ARGV[at]) end
return #ARGV / 2
