-- Helpers of the scripts that count the parts of chords and store documents (protocol.md, section 13). KEYS[key..key+4]
-- are a chord's .j .t .s .d .c: members, extra count, size, identities, and who sends the body. A chord that is closed
-- has nothing but .c.
local function workflows() -- made only when they are needed: most settlements do without
  local SENT = 'done' -- what Celery 5.7 writes to .c once the body is sent: its workers let it be then
  local chords = {}

  local function is_closed(key)
    return call('EXISTS', KEYS[key + 4]) == 1 and call('EXISTS', KEYS[key + 3]) == 0
  end

  local function extra(key) return tonumber(call('GET', KEYS[key + 1]) or 0) or 0 end

  -- Count a part by its identity; score '' is a list; size '' is not known.
  -- Returns 1 when it completes the chord; 2 when it was counted before and the chord is complete and not closed; else 0.
  function chords.count(key, identity, score, member, size, lifetime)
    if is_closed(key) then return 0 end
    local is_new = call('SADD', KEYS[key + 3], identity) == 1
    if is_new then
      if score == '' then call('RPUSH', KEYS[key], member) else call('ZADD', KEYS[key], score, member) end
    end
    if size ~= '' then call('SET', KEYS[key + 2], size, 'NX') end
    for place = key, key + 3 do call('PEXPIRE', KEYS[place], lifetime) end
    if not is_new then return call('GET', KEYS[key + 4]) == SENT and 2 or 0 end
    local missing = tonumber(size ~= '' and size or call('GET', KEYS[key + 2]) or '')
    if not missing then return 0 end
    missing = missing + extra(key) - call(score == '' and 'LLEN' or 'ZCARD', KEYS[key])
    return missing == 0 and call('SET', KEYS[key + 4], SENT, 'PX', lifetime, 'NX') and 1 or 0
  end

  -- Members were added to a chord while it runs, by the one of this identity: once ('' is by nobody who could repeat it).
  function chords.grow(key, count, lifetime, identity)
    if is_closed(key) or (identity ~= '' and call('SISMEMBER', KEYS[key + 3], identity) == 1) then return end
    call('SET', KEYS[key + 1], extra(key) + count, 'PX', lifetime)
  end

  -- A chord's body was sent: parts that come late find that, for this lifetime.
  function chords.close(key, lifetime)
    call('UNLINK', KEYS[key], KEYS[key + 1], KEYS[key + 2], KEYS[key + 3])
    call('SET', KEYS[key + 4], SENT, 'PX', lifetime)
  end

  -- Store a document. lifetime: milliseconds, '' for ever.
  function chords.put(key, payload, lifetime)
    if lifetime == '' then call('SET', key, payload) else call('SET', key, payload, 'PX', lifetime) end
  end

  return chords
end
