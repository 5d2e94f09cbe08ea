-- Open a case for an account that has something to reset and no live case yet.
-- args: subject, reset, fields {name = value}, live (what the account says of it), opened_at, look_at
local account = key('account', args.subject)
local known = redis.call('HMGET', account, 'subject', 'disabled', 'factors', 'reset')
if not known[1] then return 'not-found' end
if known[4] then return 'reset-live' end
if known[2] == '1' or tonumber(known[3]) == 0 then return 'not-resettable' end
local index = key('resets')
for _, id in ipairs(redis.call('ZRANGE', index, 0, 99)) do  -- the oldest are forgotten first
  if redis.call('EXISTS', key('reset', id)) == 0 then redis.call('ZREM', index, id) end
end
for name, value in pairs(args.fields) do redis.call('HSET', key('reset', args.reset), name, value) end
redis.call('HSET', account, 'reset', args.live)
redis.call('ZADD', index, args.opened_at, args.reset)
redis.call('ZADD', key('due'), args.look_at, args.reset)
tell_change(args.subject)
put_records()
return 'opened'
