-- Use up one recovery code, once, and give what it was asked for: all or nothing; how many are left.
-- args: now, session, code (hash), those of `give`
local session = live_session(args.session)
if not session then return 'session-revoked' end
if not awaits_answer() then return 'challenge-expired' end
local codes = key('recovery', session.subject)
if redis.call('SREM', codes, args.code) == 0 then return 'wrong-recovery-code' end
redis.call('DEL', key('failures', 'recovery:' .. session.subject), key('failures', 'recovery:' .. session.device))
forget_failures(session.subject, session.device)
give(session)
put_records()
return redis.call('SCARD', codes)
