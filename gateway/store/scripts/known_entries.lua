-- Which of these entries of the feed are still in it: the first one that is, counted from 1, or 0.
-- args: entries [id], seqs [number]
for place, id in ipairs(args.entries) do
  if id == '0-0' and args.seqs[place] == 0 then return place end
  local found = redis.call('XRANGE', key('feed'), id, id)[1]
  if found and tonumber(found[2][2]) == args.seqs[place] then return place end
end
return 0
