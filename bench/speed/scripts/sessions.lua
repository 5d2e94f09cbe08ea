-- Many sessions in turn: a file of cookies, where to begin in it, and the step from one to the next.
dofile(debug.getinfo(1, "S").source:match("^@(.*/)") .. "report.lua")

local cookies, at, step, first, last = {}, 0, 1, nil, nil

function init(arguments)
  for line in io.lines(arguments[1]) do cookies[#cookies + 1] = line end
  at, step = tonumber(arguments[2]), tonumber(arguments[3])
  local whole = wrk.format("GET")
  local from, to = whole:find("COOKIE-VALUE", 1, true)
  first, last = whole:sub(1, from - 1), whole:sub(to + 1)
end

function request()
  at = (at + step) % #cookies
  return first .. cookies[at + 1] .. last
end
