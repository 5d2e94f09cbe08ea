-- Use up one step of one factor, once, and give what the code was asked for: all or nothing.
-- args: now, session, factor, step, offset (of the step, from that of now), and as the case may be
--   confirm     the factor is pending, and this code confirms it
--   challenge   the challenge that this code answers
--   resume      {hash, until} the resume cookie that lets its parked request go
--   grant       {field, value} the proof to keep in the session
--   cookie, old_cookie, old_until   the session's new cookie, and when the old one ends
local session = live_session(args.session)
if not session then return 'session-revoked' end
local factor = key('factor', args.factor)
local known = redis.call('HMGET', factor, 'subject', 'state', 'last_step', 'offset', 'offset_run')
if known[1] ~= session.subject then return 'factor-missing' end
if known[2] ~= (args.confirm and 'pending' or 'confirmed') then return 'factor-missing' end

local challenge = args.challenge and key('challenge', args.challenge)
if challenge then
  local open = redis.call('HMGET', challenge, 'session', 'expires_at', 'answered')
  if open[1] ~= args.session or open[3] or tonumber(args.now) >= tonumber(open[2]) then
    return 'challenge-expired'
  end
end

if known[3] and args.step <= tonumber(known[3]) then return 'used-code' end
if redis.call('SISMEMBER', key('voided', args.factor), args.step) == 1 then return 'used-code' end
redis.call('HSET', factor, 'last_step', args.step, 'last_used_at', args.now)
forget_failures(session.subject)

-- Three codes in a row that are off by the same tell where the factor's clock is (RFC 6238 section 6).
local run = tonumber(known[4]) == args.offset and tonumber(known[5]) + 1 or 1
redis.call('HSET', factor, 'offset', args.offset, 'offset_run', run)
if run >= 3 then redis.call('HSET', factor, 'drift', math.max(-1, math.min(1, args.offset))) end

if args.confirm then
  redis.call('HSET', factor, 'state', 'confirmed')
  redis.call('PERSIST', factor)
  redis.call('HINCRBY', key('account', session.subject), 'factors', 1)
  -- Others that wait go: they may have been begun by somebody else, before a code was asked for it.
  for _, id in ipairs(redis.call('SMEMBERS', key('factors', session.subject))) do
    if redis.call('HGET', key('factor', id), 'state') == 'pending' then
      redis.call('DEL', key('factor', id))
      redis.call('SREM', key('factors', session.subject), id)
    end
  end
end

if challenge then
  redis.call('HSET', challenge, 'answered', args.now)
  if args.resume then
    local resume = key('resume', args.resume.hash)
    redis.call('SET', resume, args.challenge)
    redis.call('HSET', challenge, 'expires_at', args.resume['until'])
    expire_at(resume, args.resume['until'])
    expire_at(challenge, args.resume['until'])
  end
end
if args.cookie then renew_cookie(session) end
if args.grant then keep_grant(session) end
return 'spent'
