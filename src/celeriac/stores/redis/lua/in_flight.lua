-- Count a slice of the entries in flight by queue.
-- KEYS unacked; ARGV cursor, then for each queue the end of its entries: <queue as JSON>]
-- Returns {next cursor, counts}. The entry of a Celery worker ends with its routing key, which is the queue's name unless
-- an exchange says otherwise.
local SLICE = 500
local slice = call('HSCAN', KEYS[1], ARGV[1], 'COUNT', SLICE)
local counts = {}
for queue = 2, #ARGV do counts[queue - 1] = 0 end
for i = 2, #slice[2], 2 do
  local entry = slice[2][i]
  for queue = 2, #ARGV do
    local size = #ARGV[queue]
    if string.sub(entry, -size) == ARGV[queue] and string.sub(entry, -size - 1, -size - 1) ~= '\\' then
      counts[queue - 1] = counts[queue - 1] + 1
      break
    end
  end
end
return {slice[1], counts}
