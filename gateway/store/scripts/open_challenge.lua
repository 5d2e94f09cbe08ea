-- Keep a challenge; a session has at most `most` of them, and an account `most_parked` with a request behind
-- them: the oldest give way. args: now, session, challenge, expires_at, most, most_parked,
-- fields {name = value}
local session = live_session(args.session)
if not session then return 0 end
local challenge = key('challenge', args.challenge)
for name, value in pairs(args.fields) do redis.call('HSET', challenge, name, value) end
redis.call('HSET', challenge, 'id', args.challenge, 'session', args.session, 'expires_at', args.expires_at)
expire_at(challenge, args.expires_at)

-- Whose sessions give way last: those on which a code was given, or on whose device.
local function has_proved(owner)
  local known = redis.call('HMGET', key('session', owner), 'proved_at', 'device')
  return (known[1] or known[2] and redis.call('HGET', key('device', known[2]), 'proved_at')) and true or false
end

local function give_way(index, most)
  local excess = redis.call('ZCARD', index) - most
  if excess <= 0 then return end
  local ids = redis.call('ZRANGE', index, 0, -1)
  for _, proved in ipairs({ false, true }) do
    for _, id in ipairs(ids) do
      local owner = redis.call('HGET', key('challenge', id), 'session') or ''
      if excess > 0 and id ~= args.challenge and has_proved(owner) == proved then
        drop_challenge(id, owner, session.subject)
        excess = excess - 1
      end
    end
  end
end

local index = key('challenges', args.session)
redis.call('ZADD', index, args.now, args.challenge)
expire_at(index, session.expires_at)
give_way(index, args.most)
if args.fields.parked then
  local parked = key('parked', session.subject)
  redis.call('ZREMRANGEBYSCORE', parked, '-inf', args.now)
  redis.call('ZADD', parked, args.expires_at, args.challenge)
  expire_at(parked, redis.call('ZREVRANGE', parked, 0, 0, 'WITHSCORES')[2])  -- with the last of them
  give_way(parked, args.most_parked)
end
return 1
