-- Note that a session was used; a session that ended meanwhile stays ended.
-- args: now, session, device, idle_until, address, forget_device_at
local session = live_session(args.session)
if not session then return 0 end
redis.call('HSET', key('session', args.session), 'last_used_at', args.now, 'idle_until', args.idle_until,
  'address', args.address)
redis.call('HSET', key('device', args.device), 'last_used_at', args.now, 'address', args.address)
expire_at(key('device', args.device), args.forget_device_at)
redis.call('ZADD', key('devices', session.subject), args.now, args.device)
return 1
