-- Take a case one step on, if it is still as it was judged: each step changes its state or adds a statement.
-- args: reset, was {state, statements}, fields {name = value}, forget_at (once it is closed), and as the case
-- may be live (what the account says of it), look_at
local reset = key('reset', args.reset)
local known = redis.call('HMGET', reset, 'subject', 'state', 'statements')
if known[2] ~= args.was.state or known[3] ~= args.was.statements then return 0 end
for name, value in pairs(args.fields) do redis.call('HSET', reset, name, value) end
if args.live then
  redis.call('HSET', key('account', known[1]), 'reset', args.live)
else
  close_reset(args.reset, known[1])
end
if args.look_at then redis.call('ZADD', key('due'), args.look_at, args.reset) end
tell_change(known[1])
put_records()
return 1
