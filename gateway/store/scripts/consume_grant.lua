-- Use up a single-use grant in the step that lets its request go. args: now, session, field
if not live_session(args.session) then return 0 end
local grants = key('grants', args.session)
local held = redis.call('HGET', grants, args.field)
if not held or tonumber(args.now) >= tonumber(cjson.decode(held).expires_at) then return 0 end
return redis.call('HDEL', grants, args.field)
