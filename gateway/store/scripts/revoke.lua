-- End something, and say so in the shard's stream, in one step whose cost does not grow.
-- args: scope, id (session or device), subject (asked for, or that the session or device must
-- belong to), now, floor (the lowest epoch that may follow), entry {id, reason, actor}; with scope account
-- perhaps disable, or a new password; and where its owner changes it, what it was and the session that goes
-- on: was, session, cookie, old_cookie, old_until; known, where it must have taken place before;
-- with everybody perhaps past, an epoch that need not be passed again
-- What tell_revocation gives; asked again by the same entry.id, it tells the nodes at most. It writes then, or
-- WAIT would ask of a connection that wrote nothing whether replicas hold what it wrote.
local record = key('revocation', args.entry.id)
local done = redis.call('HMGET', record, 'subject', 'epoch', 'kept', 'disabled', 'by')
if done[1] then
  redis.call('EXPIRE', record, REMEMBER_SECONDS)
  -- Where another process waits now, since nodes answered to the one before; not each time that one tries again,
  -- or the feed would have nothing else.
  if done[2] and args.by and args.by ~= done[5] then
    redis.call('HSET', record, 'by', args.by)
    announce(unpack(done, 1, 4))
  end
  return to_wait_for(done[1])
end
if args.known then return false end
local epoch
local subject = args.subject
if args.scope == 'session' or args.scope == 'device' then
  local named = key(args.scope, args.id)
  local owner = redis.call('HGET', named, 'subject')
  if not owner or (subject and subject ~= owner) then return false end
  subject = owner
  if args.scope == 'session' then
    end_session(args.id, owner)
  else
    redis.call('HSET', named, 'state', 'revoked')
  end
elseif args.scope == 'account' then
  local account = key('account', subject)
  if redis.call('EXISTS', account) == 0 then return false end
  epoch = raised(redis.call('HGET', account, 'epoch'))
  if args.session then
    local kept = live_session(args.session)
    if not kept or kept.subject ~= subject then return false end
    if redis.call('HGET', account, 'password') ~= args.was then return false end
    redis.call('HSET', key('session', args.session), 'account_epoch', epoch)
    renew_cookie(kept)
  end
  if args.password then redis.call('HSET', account, 'password', args.password) end
  redis.call('HSET', account, 'epoch', epoch)
  if args.disable then redis.call('HSET', account, 'disabled', '1') end
else
  local stands = redis.call('GET', key('epoch'))
  if args.past and (tonumber(stands) or 0) > args.past then return false end
  epoch = raised(stands)
  redis.call('SET', key('epoch'), epoch)
end
put_records()
return tell_revocation(subject, epoch)
