-- A step whose code came before its time does not count once it comes. args: factor, step, expires_at
if redis.call('EXISTS', key('factor', args.factor)) == 0 then return end
redis.call('SADD', key('voided', args.factor), args.step)
expire_at(key('voided', args.factor), args.expires_at)
