-- Keep new recovery codes in place of those before, for an account that has a factor.
-- args: now, session, codes [hash]
local session = live_session(args.session)
if not session then return 'session-revoked' end
local factors = redis.call('HGET', key('account', session.subject), 'factors')
if (tonumber(factors) or 0) == 0 then return 'factor-missing' end
local codes = key('recovery', session.subject)
redis.call('DEL', codes)
redis.call('SADD', codes, unpack(args.codes))
put_records()
return 'kept'
