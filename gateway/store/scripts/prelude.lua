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
    'global_epoch', 'idle_until', 'expires_at')
  local subject, device, account_epoch, global_epoch = fields[1], fields[2], fields[3], fields[4]
  if not subject then return nil end
  local account = redis.call('HMGET', key('account', subject), 'epoch', 'disabled')
  local state = redis.call('HGET', key('device', device), 'state')
  local now = tonumber(args.now)
  if not account[1] or account[1] ~= account_epoch or account[2] == '1' then return nil end
  if redis.call('GET', key('epoch')) ~= global_epoch then return nil end
  if not state or state == 'revoked' then return nil end
  if now >= tonumber(fields[5]) or now >= tonumber(fields[6]) then return nil end
  return { subject = subject, device = device, expires_at = fields[6] }
end

local function expire_at(name, seconds)
  redis.call('PEXPIREAT', name, math.ceil(tonumber(seconds) * 1000))
end

-- Let an account's codes count again: one was right, a recovery code stood in, or support says so.
local function forget_failures(subject)
  redis.call('DEL', key('failures', 'code:' .. subject))
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
