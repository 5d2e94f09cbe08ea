-- Give a device another name. args: device, name, and perhaps owner (whom it must belong to)
local device = key('device', args.device)
local known = redis.call('HMGET', device, 'subject', 'state')
if not known[1] or known[2] == 'revoked' then return false end
if args.owner and args.owner ~= known[1] then return false end
redis.call('HSET', device, 'name', args.name)
put_records()
return redis.call('HGETALL', device)
