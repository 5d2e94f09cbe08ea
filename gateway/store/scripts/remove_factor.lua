-- Remove a factor of an account. args: subject, factor, even_confirmed
local factor = key('factor', args.factor)
local known = redis.call('HMGET', factor, 'subject', 'state')
if known[1] ~= args.subject then return 0 end
local confirmed = known[2] == 'confirmed'
if confirmed and not args.even_confirmed then return 0 end
if confirmed then redis.call('HINCRBY', key('account', args.subject), 'factors', -1) end
redis.call('DEL', factor, key('voided', args.factor))
redis.call('SREM', key('factors', args.subject), args.factor)
return 1
