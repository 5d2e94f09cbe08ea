-- Use up one step of one factor, once, and give what the code was asked for: all or nothing.
-- args: now, session, factor, step, offset (of the step, from that of now), those of `give`, and as the
-- case may be
--   confirm     the factor is pending, and this code confirms it
--   lowers      it is to take protection away, for which a factor on trial does not count
local session = live_session(args.session)
if not session then return 'session-revoked' end
local factor = key('factor', args.factor)
local known = redis.call('HMGET', factor, 'subject', 'state', 'last_step', 'offset', 'offset_run', 'full_at')
if known[1] ~= session.subject then return 'factor-missing' end
if known[2] ~= (args.confirm and 'pending' or 'confirmed') then return 'factor-missing' end
if not awaits_answer() then return 'challenge-expired' end

if known[3] and args.step <= tonumber(known[3]) then return 'used-code' end
if redis.call('SISMEMBER', key('voided', args.factor), args.step) == 1 then return 'used-code' end
local on_trial = tonumber(args.now) < tonumber(known[6] or 0)
if args.lowers and on_trial then
  uncount_failure(session.subject, session.device)
  return 'factor-on-trial'
end
redis.call('HSET', factor, 'last_step', args.step, 'last_used_at', args.now)

-- Three codes in a row that are off by the same tell where the factor's clock is (RFC 6238 section 6).
local run = tonumber(known[4]) == args.offset and tonumber(known[5]) + 1 or 1
redis.call('HSET', factor, 'offset', args.offset, 'offset_run', run)
if run >= 3 then redis.call('HSET', factor, 'drift', math.max(-1, math.min(1, args.offset))) end

if args.confirm then
  redis.call('HSET', factor, 'state', 'confirmed')
  redis.call('PERSIST', factor)
  redis.call('HINCRBY', key('account', session.subject), 'factors', 1)
  redis.call('HDEL', key('account', session.subject), 'must_enrol')
  -- Others that wait go: they may have been begun by somebody else, before a code was asked for it.
  for _, id in ipairs(redis.call('SMEMBERS', key('factors', session.subject))) do
    if redis.call('HGET', key('factor', id), 'state') == 'pending' then
      redis.call('DEL', key('factor', id))
      redis.call('SREM', key('factors', session.subject), id)
    end
  end
end
local done_with = on_trial and uncount_failure or forget_failures
done_with(session.subject, session.device)
give(session)
put_records()
return 'spent'
