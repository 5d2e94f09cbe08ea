-- A store has just been made: no node can be missing on its list.
redis.call('SET', key('listed'), run_id() .. ' 0')
return 1
