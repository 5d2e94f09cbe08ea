-- Hand out a challenge with its parked request, once. args: now, session, resume (hash), path
local resume = key('resume', args.resume)
local id = redis.call('GET', resume)
if not id then return false end
local challenge = key('challenge', id)
local known = redis.call('HMGET', challenge, 'session', 'path', 'expires_at', 'parked')
if known[1] ~= args.session or known[2] ~= args.path or not known[4] then return false end
local session = live_session(args.session)
if not session or tonumber(args.now) >= tonumber(known[3]) then return false end
local fields = redis.call('HGETALL', challenge)
redis.call('DEL', resume)
drop_challenge(id, args.session, session.subject)
return fields
