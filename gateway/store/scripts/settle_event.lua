-- An event that was claimed was acted on, and never is again. args: now, event, forget_at
local event = key('event', args.event)
redis.call('HSET', event, 'done_at', args.now)
expire_at(event, args.forget_at)
return 1
