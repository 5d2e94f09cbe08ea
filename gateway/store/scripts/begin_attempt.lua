-- Count an attempt as a failure, before it is checked; one that comes too early, or after the lock, does
-- not count. Gives whether it may be checked, whether it was the last one, and how long to wait if not.
-- args: name, now, free, first, longest, and perhaps lock, forget_after
local record = key('failures', args.name)
local now = tonumber(args.now)
local known = redis.call('HMGET', record, 'count', 'next_at', 'locked', 'forget_at')
if known[4] and now >= tonumber(known[4]) then
  redis.call('DEL', record)
  known = {}
end
if known[3] then return { 0, 1, 0 } end
local next_at = tonumber(known[2] or 0)
if now < next_at then return { 0, 0, math.ceil(next_at - now) } end

local count = (tonumber(known[1]) or 0) + 1
redis.call('HSET', record, 'count', count)
if count >= args.free then
  local wait = math.min(tonumber(args.longest), tonumber(args.first) * 2 ^ (count - args.free))
  redis.call('HSET', record, 'next_at', string.format('%.6f', now + wait))
end
local last = args.lock and count >= args.lock
if last then redis.call('HSET', record, 'locked', args.now) end
if args.forget_after then
  local forget_at = string.format('%.6f', now + tonumber(args.forget_after))
  redis.call('HSET', record, 'forget_at', forget_at)
  expire_at(record, forget_at)
end
return { 1, last and 1 or 0, 0 }
