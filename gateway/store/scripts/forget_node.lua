-- A node is gone: it left, or was silent for longer than anybody waits for it. args: node, and was (what is
-- known of it), without which it goes in any case
local nodes = key('nodes')
if args.was and redis.call('HGET', nodes, args.node) ~= args.was then return 0 end
return redis.call('HDEL', nodes, args.node)
