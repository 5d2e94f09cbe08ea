-- Record what happened, all or nothing: in the shard's audit stream, in the account's own, and as a
-- message for each way on which its holder is told of it.
-- args: event, subject, device, entry {name, value, ...}, stream (which one of the account's), most,
-- most_own, forget_at, most_waiting, messages {id, channel, and to_account or also_to}
local entry = args.entry
local device = args.device ~= '' and redis.call('HMGET', key('device', args.device), 'name', 'user_agent') or {}
entry[#entry + 1] = 'device_name'
entry[#entry + 1] = device[1] or ''

local id = redis.call('XADD', key('audit'), 'MAXLEN', '~', args.most, '*', unpack(entry))
local own = key(args.stream, args.subject)
redis.call('XADD', own, 'MAXLEN', '~', args.most_own, id, unpack(entry))  -- one id, so that both can be merged
expire_at(own, args.forget_at)

local queued, dropped = {}, {}
if #args.messages == 0 then return { queued, dropped } end
local account = redis.call('HMGET', key('account', args.subject), 'subject', 'email')
local email = account[2] or ''

-- Where a message goes: '' for a channel that needs no address, nil where there is nobody to be told.
local function addressee(message)
  if not account[1] then return nil end
  if message.to_account then return email ~= '' and email or nil end
  if message.also_to then return message.also_to ~= email and message.also_to or nil end
  return ''
end

for _, message in ipairs(args.messages) do
  local to = addressee(message)
  if to then
    -- What goes to a further address is counted apart: whoever took the account over must not be able to
    -- crowd out the word to its owner.
    local waiting = key('waiting', args.subject)
    local kind = message.channel .. ':' .. args.event .. (message.also_to and ':also' or '')
    if redis.call('HINCRBY', waiting, kind, 1) > args.most_waiting then
      redis.call('HINCRBY', waiting, kind, -1)
      dropped[#dropped + 1] = message.channel
    else
      redis.call('HSET', key('message', message.id), 'id', message.id, 'channel', message.channel, 'to', to,
        'kind', kind,
        'user_agent', device[2] or '', 'attempts', '0', unpack(entry))
      redis.call('ZADD', key('outbox', message.channel), args.now, message.id)
      queued[#queued + 1] = message.channel
    end
  end
end
return { queued, dropped }
