-- Note that a session's person was shown the page about a case. args: now, session, reset
if not live_session(args.session) then return 0 end
return redis.call('HSET', key('session', args.session), 'told_of', args.reset)
