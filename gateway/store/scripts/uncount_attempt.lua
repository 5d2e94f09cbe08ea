-- Uncount one attempt; one whose window has ended is forgotten already. args: name
local counter = key('attempts', args.name)
if (tonumber(redis.call('GET', counter)) or 0) > 0 then redis.call('DECR', counter) end
