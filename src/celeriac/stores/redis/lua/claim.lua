-- Claim up to a limit of messages, moving due held ones before. See claiming.lua, with k = 6 and a = 0.
return claim(6, 0, check_fixed_keys())
