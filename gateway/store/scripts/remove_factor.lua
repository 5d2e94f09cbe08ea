-- Remove a factor of an account, and with the last one its recovery codes. Proof that was given in other
-- sessions may have come from it, and goes as well. args: subject, factor, going_on (the session that asks),
-- or begun_in, the session, if only one that is pending and was begun there is to go
local factor = key('factor', args.factor)
local known = redis.call('HMGET', factor, 'subject', 'state', 'session')
if known[1] ~= args.subject then return 0 end
local confirmed = known[2] == 'confirmed'
if args.begun_in and (confirmed or known[3] ~= args.begun_in) then return 0 end
if confirmed and redis.call('HINCRBY', key('account', args.subject), 'factors', -1) == 0 then
  redis.call('DEL', key('recovery', args.subject))
end
if confirmed then drop_grants(args.subject, args.going_on) end
redis.call('DEL', factor, key('voided', args.factor))
redis.call('SREM', key('factors', args.subject), args.factor)
if confirmed then tell_change(args.subject) end
put_records()
return 1
