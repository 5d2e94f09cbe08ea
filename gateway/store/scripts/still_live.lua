-- Which of these sessions are over, by their places from 1. args: now, sessions [id]
local over = {}
for place, id in ipairs(args.sessions) do
  if not live_session(id) then over[#over + 1] = place end
end
return over
