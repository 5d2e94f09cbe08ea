-- Note that a revocation is confirmed. args: revocation, nodes, silent, elapsed_ms
local record = key('revocation', args.revocation)
if redis.call('EXISTS', record) == 0 then return 0 end
redis.call('HSET', record, 'nodes', args.nodes, 'silent', args.silent,
  'elapsed_ms', args.elapsed_ms)
redis.call('EXPIRE', record, REMEMBER_SECONDS)
return 1
