-- Begin a session, and record the device it is on. args: now, subject, session, cookie, idle,
-- expires_at, address, device {id, name, user_agent}, approve_later
local account = redis.call('HMGET', key('account', args.subject), 'epoch', 'disabled')
local global_epoch = redis.call('GET', key('epoch'))
if not account[1] or not global_epoch then return 'epoch-missing' end
if account[2] == '1' then return 'account-disabled' end

local device = key('device', args.device.id)
local state = redis.call('HGET', device, 'state')
if state == 'revoked' then return 'device-revoked' end
if not state then
  state = 'authorised'
  if args.approve_later then
    for _, id in ipairs(redis.call('SMEMBERS', key('devices', args.subject))) do
      if redis.call('HGET', key('device', id), 'state') == 'authorised' then state = 'pending' end
    end
  end
  redis.call('HSET', device, 'id', args.device.id, 'subject', args.subject, 'name', args.device.name,
    'state', state, 'first_used_at', args.now)
  redis.call('SADD', key('devices', args.subject), args.device.id)
end
redis.call('HSET', device, 'user_agent', args.device.user_agent, 'last_used_at', args.now,
  'address', args.address)

local session = key('session', args.session)
redis.call('HSET', session, 'id', args.session, 'subject', args.subject, 'device', args.device.id,
  'account_epoch', account[1], 'global_epoch', global_epoch, 'created_at', args.now,
  'last_used_at', args.now, 'idle_until', args.idle_until, 'expires_at', args.expires_at,
  'address', args.address, 'generation', '0')
expire_at(session, args.expires_at)
local cookie = key('cookie', args.cookie)
redis.call('HSET', cookie, 'session', args.session, 'generation', '0', 'until', args.expires_at)
expire_at(cookie, args.expires_at)
local index = key('sessions', args.subject)
redis.call('ZREMRANGEBYSCORE', index, '-inf', args.now)
redis.call('ZADD', index, args.expires_at, args.session)
return state
