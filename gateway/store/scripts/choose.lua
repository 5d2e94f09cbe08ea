-- Keep what a person chose: whether an action asks for a code. args: now, session, action, on, and
-- where the code that was given for this is to count for more: grant, cookie, old_cookie, old_until
local session = live_session(args.session)
if not session then return 0 end
local account = key('account', session.subject)
local choices = cjson.decode(redis.call('HGET', account, 'choices') or '{}')
choices[args.action] = args.on
redis.call('HSET', account, 'choices', cjson.encode(choices))
if args.cookie then renew_cookie(session) end
if args.grant then keep_grant(session) end
tell_change(session.subject)
put_records()
return 1
