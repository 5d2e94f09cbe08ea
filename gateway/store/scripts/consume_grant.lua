-- Use up a single-use grant in the step that lets its request go. args: now, session, field
if not live_session(args.session) then return 0 end
return redis.call('HDEL', key('grants', args.session), args.field)
