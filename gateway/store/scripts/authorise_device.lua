-- A pending device of this account becomes authorised; a revoked one never does.
-- args: subject, device
local device = key('device', args.device)
local known = redis.call('HMGET', device, 'subject', 'state')
if known[1] ~= args.subject or known[2] == 'revoked' then return 0 end
redis.call('HSET', device, 'state', 'authorised')
return 1
