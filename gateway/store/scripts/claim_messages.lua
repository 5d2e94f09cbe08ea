-- Take messages whose time has come, so that nobody else does before the claim ends; an attempt counts
-- from here on. args: now, channel, claimed_until, most
local outbox = key('outbox', args.channel)
local claimed = {}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', outbox, '-inf', args.now, 'LIMIT', 0, args.most)) do
  local message = key('message', id)
  if redis.call('EXISTS', message) == 1 then
    redis.call('ZADD', outbox, args.claimed_until, id)
    redis.call('HINCRBY', message, 'attempts', 1)
    claimed[#claimed + 1] = redis.call('HGETALL', message)
  else
    redis.call('ZREM', outbox, id)
  end
end
return claimed
