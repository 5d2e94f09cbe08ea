-- Put before every script. KEYS[1] is the shard's prefix, ARGV[1] a JSON object of arguments;
-- times travel as text so that no digit is lost.
local prefix = KEYS[1]
local args = cjson.decode(ARGV[1])

local function key(kind, name)
  if name then return prefix .. kind .. ':' .. name end
  return prefix .. kind
end

-- The fields of a session that may still act, or nil: the atomic twin of Snapshot.fault.
local function live_session(id)
  local fields = redis.call('HMGET', key('session', id), 'subject', 'device', 'account_epoch',
    'global_epoch', 'idle_until', 'expires_at', 'device_since')
  local subject, device, account_epoch, global_epoch = fields[1], fields[2], fields[3], fields[4]
  if not subject then return nil end
  local account = redis.call('HMGET', key('account', subject), 'epoch', 'disabled')
  local known = redis.call('HMGET', key('device', device), 'state', 'first_used_at')
  local now = tonumber(args.now)
  if not account[1] or account[1] ~= account_epoch or account[2] == '1' then return nil end
  if redis.call('GET', key('epoch')) ~= global_epoch then return nil end
  if not known[1] or known[1] == 'revoked' or known[2] ~= fields[7] then return nil end
  if now >= tonumber(fields[5]) or now >= tonumber(fields[6]) then return nil end
  return { subject = subject, device = device, expires_at = fields[6] }
end

-- A device is authorised from now on; `vouched`: its owner stands behind it. args: now
local function let_in(device, vouched)
  redis.call('HSET', device, 'state', 'authorised')
  redis.call('HDEL', device, 'word_seed')
  if vouched then redis.call('HSETNX', device, 'confirmed_at', args.now) end
end

local function expire_at(name, seconds)
  redis.call('PEXPIREAT', name, math.ceil(tonumber(seconds) * 1000))
end

-- Let an account's codes count again: one was right, or a recovery code stood in, on this device.
local function forget_failures(subject, device)
  redis.call('DEL', key('failures', 'code:' .. subject), key('failures', 'code:' .. device))
end

-- Say in the feed, which every node follows, what is not as it was read before. Entries are counted, and each
-- names the one before it, so that a node sees when it missed one, or when they were set back.
local function feed(kind, ...)
  local newest = redis.call('XREVRANGE', key('feed'), '+', '-', 'COUNT', 1)[1]
  local seq = redis.call('INCR', key('fed'))
  redis.call('XADD', key('feed'), 'MAXLEN', '~', 10000, '*', 'seq', seq,
    'after', newest and newest[1] or '0-0', 'kind', kind, ...)
  return seq
end

-- What nodes may have kept in memory of an account's sessions is to be read anew.
local function tell_change(subject)
  feed('changed', 'subject', subject)
end

-- A session or device is over, for a reason that is nobody's order.
local function tell_end(scope, id, subject)
  feed('ended', 'scope', scope, 'id', id, 'subject', subject, 'reason', 'too many', 'at', args.now)
end

-- Forget a challenge, with the request that is parked behind it.
local function drop_challenge(id, session, subject)
  redis.call('DEL', key('challenge', id))
  redis.call('ZREM', key('challenges', session), id)
  redis.call('ZREM', key('parked', subject), id)
end

-- A session is over: it goes, with its grants and challenges.
local function end_session(id, subject)
  for _, challenge in ipairs(redis.call('ZRANGE', key('challenges', id), 0, -1)) do
    drop_challenge(challenge, id, subject)
  end
  redis.call('DEL', key('session', id), key('grants', id))
  redis.call('ZREM', key('sessions', subject), id)
end

-- Let no proof count any more that was given in an account's sessions, but for one of them: what it was
-- given with is no longer there.
local function drop_grants(subject, but)
  for _, id in ipairs(redis.call('ZRANGE', key('sessions', subject), 0, -1)) do
    if id ~= but then redis.call('DEL', key('grants', id)) end
  end
end

-- End a cookie at args.old_until; what ends before that stays as it is.
local function end_cookie(hash)
  local cookie = key('cookie', hash)
  local ends = redis.call('HGET', cookie, 'until')
  if ends and tonumber(args.old_until) < tonumber(ends) then
    redis.call('HSET', cookie, 'until', args.old_until)
    expire_at(cookie, args.old_until)
  end
end

-- Give args.session its new cookie, and end the one that asked soon, and the newest one so far, which
-- is another where two step-ups began with the same. args: cookie, old_cookie, old_until
local function renew_cookie(session)
  local record = key('session', args.session)
  end_cookie(args.old_cookie)
  end_cookie(redis.call('HGET', record, 'newest_cookie'))
  local generation = redis.call('HINCRBY', record, 'generation', 1)
  redis.call('HSET', record, 'newest_cookie', args.cookie)
  local cookie = key('cookie', args.cookie)
  redis.call('HSET', cookie, 'session', args.session, 'generation', generation, 'until', session.expires_at)
  expire_at(cookie, session.expires_at)
end

-- Keep a proof in args.session, and drop those that are over. args: now, grant {field, value}
local function keep_grant(session)
  local grants = key('grants', args.session)
  local held = redis.call('HGETALL', grants)
  for i = 1, #held, 2 do
    local over = tonumber(cjson.decode(held[i + 1]).expires_at) <= tonumber(args.now)
    if over then redis.call('HDEL', grants, held[i]) end
  end
  args.grant.value.generation = redis.call('HGET', key('session', args.session), 'generation')
  redis.call('HSET', grants, args.grant.field, cjson.encode(args.grant.value))
  expire_at(grants, session.expires_at)
end

-- Whether args.challenge, if there is one, waits for this session's answer.
local function awaits_answer()
  if not args.challenge then return true end
  local open = redis.call('HMGET', key('challenge', args.challenge), 'session', 'expires_at', 'answered')
  return open[1] == args.session and not open[3] and tonumber(args.now) < tonumber(open[2])
end

-- Take the attempt back that this code was, and let the next one come at once, but no failure before it:
-- whoever may have set this factor up with a recovery code must not clear what they guess at another one.
-- Nor the wait for it: where a device has a pace of its own (begin_attempt), others keep theirs.
local function uncount_failure(subject, device)
  local failures, own = key('failures', 'code:' .. subject), key('failures', 'code:' .. device)
  local apart = redis.call('EXISTS', own) == 1
  if apart then redis.call('HINCRBY', own, 'count', -1) end
  redis.call('HDEL', apart and own or failures, 'next_at')
  if redis.call('HEXISTS', failures, 'count') == 1 then
    redis.call('HINCRBY', failures, 'count', -1)
    redis.call('HDEL', failures, 'locked')
  end
end

-- Give what a code was asked for, once it is used up. args, as the case may be:
--   challenge   the challenge that this code answers
--   resume      {hash, until} the resume cookie that lets its parked request go
--   grant       {field, value} the proof to keep in the session
--   cookie, old_cookie, old_until   the session's new cookie, and when the old one ends
--   confirms_device   the code also vouches for the device that it was given on
local function give(session)
  -- Whoever knows only the password cannot push out what a code was given on (start_session).
  redis.call('HSET', key('session', args.session), 'proved_at', args.now)
  redis.call('HSET', key('device', session.device), 'proved_at', args.now)
  if args.confirms_device then let_in(key('device', session.device), true) end
  if args.challenge then
    local challenge = key('challenge', args.challenge)
    redis.call('HSET', challenge, 'answered', args.now)
    if args.resume then
      local resume = key('resume', args.resume.hash)
      redis.call('SET', resume, args.challenge)
      redis.call('HSET', challenge, 'expires_at', args.resume['until'])
      expire_at(resume, args.resume['until'])
      expire_at(challenge, args.resume['until'])
    end
  end
  if args.cookie then renew_cookie(session) end
  if args.grant then keep_grant(session) end
  tell_change(session.subject)
end

-- The epoch that follows. args: floor (the lowest that may follow)
local function raised(epoch)
  return string.format('%.0f', math.max((tonumber(epoch) or 0) + 1, tonumber(args.floor)))
end

-- Of which kinds messages were queued in this step, and of which there were too many.
local queued, dropped = {}, {}

-- Let word of a revocation wait for each receiver of events, on a channel of its own: one that is down keeps
-- no other waiting. args: scope, id, now, entry, events {messages {id, channel}, most_waiting}
local function tell_receivers(subject)
  local waiting = key('waiting', subject)
  for _, message in ipairs(args.events.messages) do
    local kind = message.channel .. ':' .. args.scope
    if (tonumber(redis.call('HGET', waiting, kind)) or 0) >= args.events.most_waiting then
      dropped[#dropped + 1] = kind
    else
      redis.call('HINCRBY', waiting, kind, 1)
      redis.call('HSET', key('message', message.id), 'id', message.id, 'channel', message.channel, 'to', '',
        'kind', kind, 'user_agent', '', 'attempts', '0', 'revocation', args.entry.id, 'event', 'session-revoked',
        'subject', subject, 'session_id', args.scope == 'session' and args.id or '',
        'device_id', args.scope == 'device' and args.id or '', 'actor', args.entry.actor,
        'reason', args.entry.reason, 'at', args.now)
      redis.call('ZADD', key('outbox', message.channel), args.now, message.id)
      queued[#queued + 1] = kind
    end
  end
end

-- Which process this server is.
local function run_id()
  return string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')
end

-- For how many seconds nodes have shown up to this very process. One that was started on a copy, or that was a
-- replica, may have a list that lacks some of them: each shows up soon, or trusts nothing after a while.
local function listed_for()
  local time, run = redis.call('TIME'), run_id()
  local now = time[1] + time[2] / 1000000
  local told, since = string.match(redis.call('GET', key('listed')) or '', '(%x+) (%S+)')
  if told ~= run then
    since = now
    redis.call('SET', key('listed'), run .. ' ' .. string.format('%.6f', now))
  end
  return string.format('%.3f', now - since)
end

-- Which primary this is, since when: for whoever has replicas to think of. What a process told as a replica, or
-- before it lost its role and got it again, proves nothing, so each time that one is promoted gives another id.
-- args: replicated
local function reign()
  if not args.replicated then return '' end
  local told = redis.call('INFO', 'replication')
  if not string.find(told, 'role:master', 1, true) then return 'a replica' end
  return string.match(told, 'master_replid:(%x+)') .. run_id()
end

-- What became of a revocation is kept for so many seconds: until then it takes place only once.
local REMEMBER_SECONDS = 86400

-- What a revoker has to know to wait for the nodes: whose it is, which there are, and for how long they are listed.
local function to_wait_for(subject)
  return { subject, redis.call('HGETALL', key('nodes')), listed_for() }
end

-- Say to every node what was ended. args: scope, id, now, entry, and perhaps by, the process that waits for them
local function announce(subject, epoch, kept, disabled)
  feed('ended', 'revocation', args.entry.id, 'scope', args.scope, 'id', args.id or '', 'subject', subject,
    'epoch', epoch, 'kept', kept, 'reason', args.entry.reason, 'disabled', disabled, 'by', args.by or '',
    'at', args.now)
end

-- Say what was ended, to whoever asks later and to every node.
-- args: scope, id, now, entry {id, reason, actor}, and perhaps session (which goes on), disable, events
local function tell_revocation(subject, epoch)
  if args.events then tell_receivers(subject or '') end
  redis.call('XADD', key('revocations'), 'MAXLEN', '~', 10000, '*', 'revocation', args.entry.id,
    'scope', args.scope, 'id', args.id or '', 'subject', subject or '', 'reason', args.entry.reason,
    'actor', args.entry.actor, 'at', args.now)
  local told = { subject or '', epoch or 0, args.session or '', args.disable and '1' or '' }
  announce(unpack(told))
  local record = key('revocation', args.entry.id)
  redis.call('HSET', record, 'scope', args.scope, 'subject', told[1], 'at', args.now, 'epoch', told[2],
    'kept', told[3], 'disabled', told[4], 'by', args.by or '')
  redis.call('EXPIRE', record, REMEMBER_SECONDS)
  return to_wait_for(subject or '')
end

-- Take a case out of what has to be looked at, and keep its record until args.forget_at.
local function close_reset(id, subject)
  redis.call('HDEL', key('account', subject), 'reset')
  redis.call('ZREM', key('due'), id)
  expire_at(key('reset', id), args.forget_at)
end

-- Where a message goes: '' for a channel that needs no address, nil where there is nobody to be told.
local function addressee(message, account)
  local email = account[2] or ''
  if not account[1] then return nil end
  if message.to_account then return email ~= '' and email or nil end
  if message.also_to then return message.also_to ~= email and message.also_to or nil end
  return ''
end

-- Whether an account was told of this kind often enough within the last hour, or has enough of it waiting:
-- what comes by the hundred hides what matters. Mails to the address from before are never too many.
local function too_many(record, message, kind)
  local waiting, hourly = key('waiting', record.subject), key('hourly', record.subject)
  if (tonumber(redis.call('HGET', waiting, kind)) or 0) >= record.most_waiting then return true end
  if not message.to_account then return false end
  if tonumber(record.at) >= tonumber(redis.call('HGET', hourly, 'until') or 0) then
    redis.call('DEL', hourly)
    redis.call('HSET', hourly, 'until', record.hour_ends)
    expire_at(hourly, record.hour_ends)
  end
  return redis.call('HINCRBY', hourly, kind, 1) > record.most_hourly
end

-- Let messages wait to be sent, for each way on which the holder of an account is told of an entry.
local function queue(record, entry, user_agent)
  local account = redis.call('HMGET', key('account', record.subject), 'subject', 'email')
  local waiting = key('waiting', record.subject)
  for _, message in ipairs(record.messages) do
    local to = addressee(message, account)
    -- What goes to a further address is counted apart: whoever took the account over must not be able to
    -- crowd out the word to its owner.
    local kind = message.channel .. ':' .. record.event .. (message.also_to and ':also' or '')
    if to and too_many(record, message, kind) then
      dropped[#dropped + 1] = kind
    elseif to then
      redis.call('HINCRBY', waiting, kind, 1)
      redis.call('HSET', key('message', message.id), 'id', message.id, 'channel', message.channel, 'to', to,
        'kind', kind, 'user_agent', user_agent, 'attempts', '0', unpack(entry))
      redis.call('ZADD', key('outbox', message.channel), record.at, message.id)
      queued[#queued + 1] = kind
    end
  end
end

-- Put on record what happened: in the shard's audit stream, in the account's own, and as messages to its
-- holder. A record has: event, subject, device, at, entry {name, value, ...}, stream (which one of the
-- account's), most, most_own, forget_at, most_waiting, most_hourly, hour_ends, and messages {id, channel, and
-- to_account or also_to}
local function put_on_record(record)
  local entry = record.entry
  local device = record.device ~= '' and redis.call('HMGET', key('device', record.device), 'name', 'user_agent') or {}
  entry[#entry + 1] = 'device_name'
  entry[#entry + 1] = device[1] or ''
  local id = redis.call('XADD', key('audit'), 'MAXLEN', '~', record.most, '*', unpack(entry))
  local own = key(record.stream, record.subject)
  redis.call('XADD', own, 'MAXLEN', '~', record.most_own, id, unpack(entry))  -- one id, so that both can be merged
  expire_at(own, record.forget_at)
  queue(record, entry, device[2] or '')
end

-- What a step was asked to put on record, once it has changed something. args: records
local function put_records(records)
  for _, record in ipairs(records or args.records or {}) do put_on_record(record) end
end
