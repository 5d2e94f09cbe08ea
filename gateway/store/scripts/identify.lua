-- One read of all that decides a request, after which primary tells it; that alone where the cookie leads
-- nowhere. args: cookie (hash), replicated
local cookie = redis.call('HMGET', key('cookie', args.cookie), 'session', 'generation', 'until')
if not cookie[1] then return { reign() } end
local session = redis.call('HGETALL', key('session', cookie[1]))
if #session == 0 then return { reign() } end
local named = redis.call('HMGET', key('session', cookie[1]), 'subject', 'device')
return {
  reign(), cookie[1], cookie[2], cookie[3],
  session,
  redis.call('HMGET', key('account', named[1]), 'name', 'email', 'groups', 'disabled', 'epoch', 'factors',
    'choices', 'must_enrol', 'reset', 'own_email'),
  redis.call('HGETALL', key('device', named[2])),
  redis.call('GET', key('epoch')),
  redis.call('HGETALL', key('grants', cookie[1])),
}
