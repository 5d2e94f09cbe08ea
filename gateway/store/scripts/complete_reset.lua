-- Do what a case was for, if it still waits and its time has come: the factors go, every session and device
-- ends, and the next sign-in has to set up a factor anew. While the account is disabled it is held, and
-- looked at again at `held_until`.
-- args: reset, now, fields {name = value}, forget_at, held_until, floor, scope, entry {id, reason, actor}
local reset = key('reset', args.reset)
local known = redis.call('HMGET', reset, 'subject', 'state', 'due_at')
if known[2] ~= 'waiting' or tonumber(args.now) < tonumber(known[3]) then return false end
local subject = known[1]
local account = key('account', subject)
if redis.call('HGET', account, 'disabled') == '1' then
  redis.call('ZADD', key('due'), args.held_until, args.reset)
  return false
end

for _, id in ipairs(redis.call('SMEMBERS', key('factors', subject))) do
  redis.call('DEL', key('factor', id), key('voided', id))
end
redis.call('DEL', key('factors', subject), key('recovery', subject),
  key('failures', 'code:' .. subject), key('failures', 'recovery:' .. subject))
for _, id in ipairs(redis.call('ZRANGE', key('devices', subject), 0, -1)) do
  local device = key('device', id)
  if redis.call('EXISTS', device) == 1 then redis.call('HSET', device, 'state', 'revoked') end
end
redis.call('HDEL', account, 'choices')  -- what was switched off may have been so by somebody else
local epoch = raised(redis.call('HGET', account, 'epoch'))
redis.call('HSET', account, 'factors', '0', 'must_enrol', '1', 'epoch', epoch)
local told = tell_revocation(subject, epoch)

for name, value in pairs(args.fields) do redis.call('HSET', reset, name, value) end
close_reset(args.reset, subject)
put_records()
return told
