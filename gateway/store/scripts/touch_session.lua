-- Note that a session was used; a session that ended meanwhile stays ended.
-- args: now, session, device, idle_until, address
if not live_session(args.session) then return 0 end
redis.call('HSET', key('session', args.session), 'last_used_at', args.now, 'idle_until', args.idle_until,
  'address', args.address)
redis.call('HSET', key('device', args.device), 'last_used_at', args.now, 'address', args.address)
return 1
