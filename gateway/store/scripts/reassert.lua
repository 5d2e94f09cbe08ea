-- A revocation that a node knows of and that the store may have lost takes place again; nothing where it is
-- still there. args: scope, id, subject, epoch, kept, now, entry {id, reason, actor}, and perhaps disable
if redis.call('EXISTS', key('revocation', args.entry.id)) == 1 then return 0 end
local function higher(known) return (tonumber(known) or 0) < tonumber(args.epoch) end
if args.scope == 'session' then
  local owner = redis.call('HGET', key('session', args.id), 'subject')
  if owner then end_session(args.id, owner) end
elseif args.scope == 'device' then
  local device = key('device', args.id)
  local since = redis.call('HGET', device, 'first_used_at')
  if since and tonumber(since) <= tonumber(args.now) then redis.call('HSET', device, 'state', 'revoked') end
elseif args.scope == 'account' then
  local account = key('account', args.subject)
  local was = redis.call('HGET', account, 'epoch')
  if was and higher(was) then
    redis.call('HSET', account, 'epoch', args.epoch)
    if args.disable then redis.call('HSET', account, 'disabled', '1') end
    local kept = key('session', args.kept)
    -- Only where it began under the epoch from before: another one's sessions end.
    if args.kept ~= '' and redis.call('HGET', kept, 'account_epoch') == was then
      redis.call('HSET', kept, 'account_epoch', args.epoch)
    end
  end
elseif higher(redis.call('GET', key('epoch'))) then
  redis.call('SET', key('epoch'), args.epoch)
end
args.session = args.kept ~= '' and args.kept or nil
tell_revocation(args.subject, args.epoch)
return 1
