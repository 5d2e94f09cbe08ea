-- Keep a challenge; a session has at most `most` of them, the oldest give way.
-- args: now, session, challenge, expires_at, most, fields {name = value}
local session = live_session(args.session)
if not session then return 0 end
local challenge = key('challenge', args.challenge)
for name, value in pairs(args.fields) do redis.call('HSET', challenge, name, value) end
redis.call('HSET', challenge, 'id', args.challenge, 'session', args.session, 'expires_at', args.expires_at)
expire_at(challenge, args.expires_at)
local index = key('challenges', args.session)
redis.call('ZADD', index, args.now, args.challenge)
expire_at(index, session.expires_at)
local excess = redis.call('ZCARD', index) - args.most
if excess > 0 then
  local oldest = redis.call('ZPOPMIN', index, excess)  -- ids and scores in turn
  for i = 1, #oldest, 2 do redis.call('DEL', key('challenge', oldest[i])) end
end
return 1
