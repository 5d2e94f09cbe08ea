-- Note that a session's person was shown the page about a case. args: now, session, reset
local session = live_session(args.session)
if not session then return 0 end
tell_change(session.subject)
return redis.call('HSET', key('session', args.session), 'told_of', args.reset)
