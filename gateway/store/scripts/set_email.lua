-- Give an account the address that an operator vouches for. args: subject, email
local account = key('account', args.subject)
if redis.call('EXISTS', account) == 0 then return 0 end
redis.call('HSET', account, 'email', args.email, 'own_email', '0')
tell_change(args.subject)
return 1
