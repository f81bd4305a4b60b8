-- Helpers of the scripts that store results and count the parts of chords.

local function is_success(document)
  local ok, meta = pcall(cjson.decode, document)
  if ok and type(meta) == 'table' then return meta.status == 'SUCCESS' end
  return string.find(document, 'SUCCESS', 1, true) ~= nil -- pickle, yaml, msgpack: the state is within as it is
end

-- Store a result and tell. lifetime: milliseconds, '' for ever; check '1': unless SUCCESS is stored.
local function store_document(key, document, lifetime, check)
  local stored = check == '1' and call('GET', key)
  if stored and is_success(stored) then return end
  if lifetime == '' then call('SET', key, document) else call('SET', key, document, 'PX', lifetime) end
  call('PUBLISH', key, document)
end

-- Count a chord part by its identity. KEYS[key..key+3] are .j .t .s .d; score '' is a list; size '' is not known.
local function count_part(key, identity, score, member, size, lifetime)
  if call('SADD', KEYS[key + 3], identity) == 1 then
    if score == '' then call('RPUSH', KEYS[key], member) else call('ZADD', KEYS[key], score, member) end
  end
  if size ~= '' then call('SET', KEYS[key + 2], size, 'NX') end
  for place = key, key + 3 do call('PEXPIRE', KEYS[place], lifetime) end
end

-- Fail on a key of another type, before anything is written. types: a letter for each key behind KEYS[first].
local LENGTHS = {l = 'LLEN', z = 'ZCARD', h = 'HLEN', s = 'STRLEN', t = 'SCARD'}
local function check_types(first, types)
  for place = 1, #types do
    local length = LENGTHS[string.sub(types, place, place)]
    if length then call(length, KEYS[first + place]) end
  end
end
