-- A node has applied these revocations: whoever waits for that is told. args: node, revocations [id]
for _, id in ipairs(args.revocations) do
  local acks = key('acks', id)
  redis.call('RPUSH', acks, args.node)
  redis.call('EXPIRE', acks, 60)
end
