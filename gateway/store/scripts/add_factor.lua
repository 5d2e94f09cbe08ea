-- Keep a factor that still has to be confirmed, in place of another one that its session has begun: so
-- sessions of somebody who knows the password are in nobody's way. args: subject, factor, most (that are
-- confirmed), expires_at, fields, and code_given: without a code only the first factor is begun, however
-- long ago that was found out
local factors = redis.call('HGET', key('account', args.subject), 'factors')
if not factors then return 'account-missing' end
if not args.code_given and tonumber(factors) > 0 then return 'code-needed' end
local index = key('factors', args.subject)
if tonumber(factors) >= args.most then return 'too-many' end
for _, id in ipairs(redis.call('SMEMBERS', index)) do
  local known = redis.call('HMGET', key('factor', id), 'state', 'session')
  if known[1] == 'pending' and known[2] == args.fields.session then redis.call('DEL', key('factor', id)) end
  if not known[1] or known[1] == 'pending' and known[2] == args.fields.session then
    redis.call('SREM', index, id)
  end
end
local factor = key('factor', args.factor)
for name, value in pairs(args.fields) do redis.call('HSET', factor, name, value) end
redis.call('HSET', factor, 'id', args.factor, 'subject', args.subject, 'state', 'pending')
expire_at(factor, args.expires_at)
redis.call('SADD', index, args.factor)
return 'added'
