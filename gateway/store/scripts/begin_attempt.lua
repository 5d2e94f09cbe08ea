-- Count an attempt as a failure, before it is checked; one that comes too early, or after the lock, does
-- not count. Gives whether it may be checked, whether it was the last one, and how long to wait if not.
-- args: name, now, free, first, longest, and perhaps lock, forget_after, and apart: a record of its own
-- that says how long to wait, and is forgotten at forget_apart_at; the lock counts all the same
local record = key('failures', args.name)
local pace = args.apart and key('failures', args.apart) or record
local now = tonumber(args.now)

local function forget_if_over(name)
  local forget_at = redis.call('HGET', name, 'forget_at')
  if forget_at and now >= tonumber(forget_at) then redis.call('DEL', name) end
end

local function forget_later(name, forget_at)
  redis.call('HSET', name, 'forget_at', forget_at)
  expire_at(name, forget_at)
end

forget_if_over(record)
forget_if_over(pace)
if redis.call('HEXISTS', record, 'locked') == 1 then return { 0, 1, 0 } end
local next_at = tonumber(redis.call('HGET', pace, 'next_at') or 0)
if now < next_at then return { 0, 0, math.ceil(next_at - now) } end

local count = redis.call('HINCRBY', record, 'count', 1)
local in_a_row = count
if args.apart then
  in_a_row = redis.call('HINCRBY', pace, 'count', 1)
  forget_later(pace, args.forget_apart_at)
end
if in_a_row >= args.free then
  local wait = math.min(tonumber(args.longest), tonumber(args.first) * 2 ^ (in_a_row - args.free))
  redis.call('HSET', pace, 'next_at', string.format('%.6f', now + wait))
end
local last = args.lock and count >= args.lock
if last then redis.call('HSET', record, 'locked', args.now) end
if args.forget_after then
  forget_later(record, string.format('%.6f', now + tonumber(args.forget_after)))
end
return { 1, last and 1 or 0, 0 }
