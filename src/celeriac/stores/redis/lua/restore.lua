-- Make messages whose holder is lost ready again, at the front of their queues; losses grow by one.
--
-- KEYS  unacked, unacked_index, leases, deliveries, then lists
-- ARGV  visibility timeout in seconds, then for each entry: its claim or tag, L (ours) or C (Celery's), the place of its
--       list among the lists (0: the entry cannot be read or is gone, forget it), its envelope, or '' to take it from our entry
--
-- Returns the place of each entry that was restored. An entry that was renewed, settled or restored by others since it
-- was read is left alone: the score is looked at again.
local visibility, now, restored = tonumber(ARGV[1]), clock(), {}
call('HLEN', KEYS[1]); call('ZCARD', KEYS[2]); call('ZCARD', KEYS[3]); call('HLEN', KEYS[4])
for list = 5, #KEYS do call('LLEN', KEYS[list]) end
for at = 2, #ARGV, 4 do
  local id, list, envelope = ARGV[at], tonumber(ARGV[at + 2]), ARGV[at + 3]
  local leased = call('ZSCORE', KEYS[3], id)
  local due
  if ARGV[at + 1] == 'L' then
    due = leased and tonumber(leased) <= now * 1000
  else
    local score = call('ZSCORE', KEYS[2], id)
    due = not leased and score and tonumber(score) <= now - visibility
  end
  if due then
    local entry = call('HGET', KEYS[1], id)
    call('ZREM', KEYS[3], id); call('ZREM', KEYS[2], id); call('HDEL', KEYS[1], id)
    if entry and envelope == '' then envelope = envelope_of(entry) end
    if entry and envelope and list > 0 then
      call('RPUSH', KEYS[4 + list], envelope)
      note(KEYS[4], envelope, 1, 0, 0, now)
      restored[#restored + 1] = (at - 2) / 4 + 1
    end
  end
end
return restored
