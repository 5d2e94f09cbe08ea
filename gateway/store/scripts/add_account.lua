-- Create an account, unless there is one. args: subject, epoch, fields {name = value}
local account = key('account', args.subject)
if redis.call('EXISTS', account) == 1 then return 0 end
for name, value in pairs(args.fields) do redis.call('HSET', account, name, value) end
redis.call('HSET', account, 'subject', args.subject, 'epoch', args.epoch, 'factors', '0')
redis.call('SADD', key('accounts'), args.subject)
return 1
