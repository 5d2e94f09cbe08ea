-- Keep how a person is called and where to write to them. args: now, session, name, email, vouched (the
-- person's word is enough for a new address)
-- The address that it was before, or false when the session ended meanwhile.
local session = live_session(args.session)
if not session then return false end
local account = key('account', session.subject)
local before = redis.call('HGET', account, 'email') or ''
redis.call('HSET', account, 'name', args.name, 'email', args.email)
if args.email ~= before then redis.call('HSET', account, 'own_email', args.vouched and '0' or '1') end
tell_change(session.subject)
put_records()
return before
