-- End a claim: with again_at the message waits until then, without it is done with.
-- args: id, channel, attempts (as claimed), and perhaps again_at
local message = key('message', args.id)
local known = redis.call('HMGET', message, 'attempts', 'subject', 'kind')
if not known[1] then return 0 end
local outbox = key('outbox', args.channel)
if args.again_at then
  if known[1] ~= args.attempts then return 0 end  -- the claim had ended, and somebody else has it now
  redis.call('ZADD', outbox, args.again_at, args.id)
  return 1
end
redis.call('DEL', message)
redis.call('ZREM', outbox, args.id)
local waiting, kind = key('waiting', known[2]), known[3]
if redis.call('HINCRBY', waiting, kind, -1) <= 0 then redis.call('HDEL', waiting, kind) end
return 1
