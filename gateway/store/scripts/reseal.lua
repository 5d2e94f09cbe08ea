-- Put a sealed value in place of the same one under another key, unless it changed or went meanwhile.
-- args: record (within the prefix), field, was, becomes
local record = prefix .. args.record
if redis.call('HGET', record, args.field) ~= args.was then return 0 end
redis.call('HSET', record, args.field, args.becomes)
return 1
