-- Keep a factor that still has to be confirmed. args: subject, factor, most, expires_at, fields, and
-- code_given: without a code only the first factor is begun, however long ago that was found out
local factors = redis.call('HGET', key('account', args.subject), 'factors')
if not factors then return 'account-missing' end
if not args.code_given and tonumber(factors) > 0 then return 'code-needed' end
local index = key('factors', args.subject)
for _, id in ipairs(redis.call('SMEMBERS', index)) do
  if redis.call('EXISTS', key('factor', id)) == 0 then redis.call('SREM', index, id) end
end
if redis.call('SCARD', index) >= args.most then return 'too-many' end
local factor = key('factor', args.factor)
for name, value in pairs(args.fields) do redis.call('HSET', factor, name, value) end
redis.call('HSET', factor, 'id', args.factor, 'subject', args.subject, 'state', 'pending')
expire_at(factor, args.expires_at)
redis.call('SADD', index, args.factor)
return 'added'
