-- The device of a live session. With a word_seed, it shows words from now on if it is not confirmed and
-- shows none yet. args: now, session, word_seed
local session = live_session(args.session)
if not session then return false end
local device = key('device', session.device)
if args.word_seed then
  local known = redis.call('HMGET', device, 'state', 'confirmed_at')
  local confirmed = known[1] == 'authorised' and known[2]
  if not confirmed then redis.call('HSETNX', device, 'word_seed', args.word_seed) end
end
return redis.call('HGETALL', device)
