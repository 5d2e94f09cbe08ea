-- Note that sessions were used; one that ended meanwhile stays ended.
-- args: uses [{session, device, at, idle_until, address, forget_device_at}]
for _, use in ipairs(args.uses) do
  args.now = use.at  -- what counts is when it was used, not when that is written
  local session = live_session(use.session)
  local last = redis.call('HGET', key('session', use.session), 'last_used_at')
  if session and tonumber(use.at) > tonumber(last) then
    redis.call('HSET', key('session', use.session), 'last_used_at', use.at, 'idle_until', use.idle_until,
      'address', use.address)
    redis.call('HSET', key('device', use.device), 'last_used_at', use.at, 'address', use.address)
    expire_at(key('device', use.device), use.forget_device_at)
    redis.call('ZADD', key('devices', session.subject), use.at, use.device)
  end
end
