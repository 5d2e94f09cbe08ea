-- Begin a session, and record the device it is on. args: now, subject, session, cookie, idle_until,
-- expires_at, address, device {id, name, user_agent, browser, system}, waits (a new device does, if there
-- is somebody to ask), code_serves (a code vouches for a device), word_seed, forget_device_at,
-- forget_device_before, most_devices, most_sessions, arrival_records (by how the device arrives), and perhaps
-- password (the hash that was checked; nothing begins if it was changed meanwhile)
local account = redis.call('HMGET', key('account', args.subject), 'epoch', 'disabled', 'factors', 'password')
local global_epoch = redis.call('GET', key('epoch'))
if not account[1] or not global_epoch then return 'epoch-missing' end
if account[2] == '1' then return 'account-disabled' end
if args.password and account[4] ~= args.password then return 'wrong-credentials' end

local devices = key('devices', args.subject)
local function state_of(id) return redis.call('HGET', key('device', id), 'state') end

-- Whether somebody could authorise this device on another one. Where none is left, an account with a
-- factor has a code to ask for, or else support.
local function another_is_authorised()
  for _, id in ipairs(redis.call('ZRANGE', devices, 0, -1)) do
    if state_of(id) == 'authorised' then return true end
  end
  return false
end

-- In which order devices give way, those last on which a code was given: a stranger who knows the password
-- must not push out its owner's.
local function standing(id)
  local known = redis.call('HMGET', key('device', id), 'state', 'proved_at')
  if known[1] == 'revoked' then return 2 end
  if known[1] ~= 'authorised' then return 1 end
  return known[2] and 4 or 3
end

-- Forget the devices that were not used for long, and of too many the ones used least recently, by standing.
local function make_room()
  redis.call('ZREMRANGEBYSCORE', devices, '-inf', args.forget_device_before)
  local excess = redis.call('ZCARD', devices) - args.most_devices
  if excess <= 0 then return end
  local ids = redis.call('ZRANGE', devices, 0, -1)
  for turn = 1, 4 do
    for _, id in ipairs(ids) do
      if excess > 0 and id ~= args.device.id and standing(id) == turn then
        redis.call('DEL', key('device', id))
        tell_end('device', id, args.subject)
        redis.call('ZREM', devices, id)
        excess = excess - 1
      end
    end
  end
end

-- In which order sessions give way: as devices do, and those last in which a code was given.
local function standing_of_session(id)
  local known = redis.call('HMGET', key('session', id), 'device', 'proved_at')
  local of_device = known[1] and standing(known[1]) or 1
  return known[2] and of_device > 2 and 4 or of_device
end

-- End the sessions that are too many: the oldest, by standing.
local function make_room_for_session(index)
  local excess = redis.call('ZCARD', index) - args.most_sessions
  if excess <= 0 then return end
  local ids = redis.call('ZRANGE', index, 0, -1)
  for turn = 1, 4 do
    for _, id in ipairs(ids) do
      if excess > 0 and id ~= args.session and standing_of_session(id) == turn then
        end_session(id, args.subject)
        tell_end('session', id, args.subject)
        excess = excess - 1
      end
    end
  end
end

local device = key('device', args.device.id)
local state = state_of(args.device.id)
if state == 'revoked' then return 'device-revoked' end
local arrival = 'known'
if not state then arrival = redis.call('ZCARD', devices) == 0 and 'first' or 'later' end
if state ~= 'authorised' then
  local somebody_to_ask = another_is_authorised() or (arrival ~= 'first' and tonumber(account[3] or 0) > 0)
  local waits = args.waits or state == 'pending'
  state = (waits and somebody_to_ask) and 'pending' or 'authorised'
  redis.call('HSET', device, 'id', args.device.id, 'subject', args.subject, 'state', state)
  redis.call('HSETNX', device, 'name', args.device.name)
  redis.call('HSETNX', device, 'first_used_at', args.now)
  -- Nobody stands behind any but the very first, or whoever knows the password could get there by revoking
  -- all the others.
  if arrival == 'first' then redis.call('HSET', device, 'confirmed_at', args.now) end
end
redis.call('HSET', device, 'user_agent', args.device.user_agent, 'browser', args.device.browser,
  'system', args.device.system, 'last_used_at', args.now, 'address', args.address)
redis.call('HDEL', device, 'word_seed')
if state == 'pending' then redis.call('HSET', device, 'word_seed', args.word_seed) end
expire_at(device, args.forget_device_at)
redis.call('ZADD', devices, args.now, args.device.id)
make_room()
if arrival == 'known' then tell_change(args.subject) end

local session = key('session', args.session)
redis.call('HSET', session, 'id', args.session, 'subject', args.subject, 'device', args.device.id,
  'device_since', redis.call('HGET', device, 'first_used_at'),
  'account_epoch', account[1], 'global_epoch', global_epoch, 'created_at', args.now,
  'last_used_at', args.now, 'idle_until', args.idle_until, 'expires_at', args.expires_at,
  'address', args.address, 'generation', '0', 'newest_cookie', args.cookie)
expire_at(session, args.expires_at)
local cookie = key('cookie', args.cookie)
redis.call('HSET', cookie, 'session', args.session, 'generation', '0', 'until', args.expires_at)
expire_at(cookie, args.expires_at)
local index = key('sessions', args.subject)
redis.call('ZREMRANGEBYSCORE', index, '-inf', args.now)
redis.call('ZADD', index, args.expires_at, args.session)
make_room_for_session(index)
put_records(args.arrival_records[arrival] or {})
return { state, arrival }
