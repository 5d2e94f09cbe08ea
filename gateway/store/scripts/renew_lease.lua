-- A node is there, and has applied the feed up to here. args: node, seq, beat (which differs each time), waits
-- (how long a revoker has to wait for it in vain), and entry, the id of the last entry that it applied.
-- Where the feed ends, with which entry; whether its history has the node's last entry: 'known', 'trimmed' or
-- 'lost'; the global epoch; all nodes; and which primary this is.
local nodes, stream = key('nodes'), key('feed')
redis.call('HSET', nodes, args.node, args.beat .. ' ' .. args.waits)
listed_for()
local tail = redis.call('GET', key('fed')) or '0'
local newest = redis.call('XREVRANGE', stream, '+', '-', 'COUNT', 1)[1]

-- The store may have been set back, and have gone on from there: the number alone proves nothing.
local function history()
  if not args.entry then return tonumber(tail) >= args.seq and 'known' or 'lost' end
  if args.entry == '0-0' then return args.seq == 0 and 'known' or 'lost' end
  local found = redis.call('XRANGE', stream, args.entry, args.entry)[1]
  if found then
    local seq = tonumber(found[2][2])
    return (not seq or seq == args.seq) and 'known' or 'lost'  -- one that cannot be read was passed over
  end
  if tonumber(tail) <= args.seq then return 'lost' end
  local oldest = redis.call('XRANGE', stream, '-', '+', 'COUNT', 1)[1]
  if not oldest then return 'lost' end
  local function parts(id) return string.match(id, '(%d+)-(%d+)') end
  local ms, n = parts(oldest[1])
  local my_ms, my_n = parts(args.entry)
  ms, n, my_ms, my_n = tonumber(ms), tonumber(n), tonumber(my_ms), tonumber(my_n)
  local older = my_ms < ms or (my_ms == ms and my_n < n)
  return older and 'trimmed' or 'lost'
end

return { tail, newest and newest[1] or '0-0', history(), redis.call('GET', key('epoch')),
  redis.call('HGETALL', nodes), reign() }
