-- Count an attempt within its window, which starts with the first one.
-- args: name, window (seconds)
local counter = key('attempts', args.name)
local count = redis.call('INCR', counter)
if count == 1 then redis.call('EXPIRE', counter, args.window) end
return { count, redis.call('TTL', counter) }
