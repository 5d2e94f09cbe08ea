-- Keep new recovery codes in place of those before, for an account that has a factor. Proof that was given
-- in other sessions may have come from one of those, and goes as well.
-- args: now, session, codes [hash]
local session = live_session(args.session)
if not session then return 'session-revoked' end
local factors = redis.call('HGET', key('account', session.subject), 'factors')
if (tonumber(factors) or 0) == 0 then return 'factor-missing' end
local codes = key('recovery', session.subject)
drop_grants(session.subject, args.session)
redis.call('DEL', codes)
redis.call('SADD', codes, unpack(args.codes))
tell_change(session.subject)
put_records()
return 'kept'
