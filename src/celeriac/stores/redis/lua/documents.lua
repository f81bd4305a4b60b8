-- Helpers of the scripts that store results.

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

-- Fail on a key of another type, before anything is written. types: a letter for each key behind KEYS[first].
local LENGTHS = {l = 'LLEN', z = 'ZCARD', h = 'HLEN', s = 'STRLEN', t = 'SCARD'}
local function check_types(first, types)
  for place = 1, #types do
    local length = LENGTHS[string.sub(types, place, place)]
    if length then call(length, KEYS[first + place]) end
  end
end
