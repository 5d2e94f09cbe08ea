-- A device is let in; a revoked one never is. It is confirmed as well if the one that vouches for it is, or
-- an operator does. args: now, device, and unless it is an operator, session (that vouches)
local device = key('device', args.device)
local known = redis.call('HMGET', device, 'subject', 'state')
if not known[1] or known[2] == 'revoked' then return false end
local vouched = true
if args.session then
  local session = live_session(args.session)
  if not session or session.subject ~= known[1] or session.device == args.device then return false end
  local voucher = redis.call('HMGET', key('device', session.device), 'state', 'confirmed_at')
  if voucher[1] ~= 'authorised' then return false end
  vouched = voucher[2] ~= false
end
if known[2] ~= 'authorised' or vouched then let_in(device, vouched) end
tell_change(known[1])
put_records()
return redis.call('HGETALL', device)
