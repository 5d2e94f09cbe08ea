-- Take an event that came in, so that nobody else acts on it before the claim ends: `taken`, or what became of
-- it: `claimed` by somebody else, or `done`. args: now, event, claimed_until, forget_at
local event = key('event', args.event)
local known = redis.call('HMGET', event, 'done_at', 'claimed_until')
if known[1] then return 'done' end
if known[2] and tonumber(args.now) < tonumber(known[2]) then return 'claimed' end
redis.call('HSET', event, 'claimed_until', args.claimed_until)
expire_at(event, args.forget_at)
return 'taken'
