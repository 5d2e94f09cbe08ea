-- Uploads of so many bytes: the first argument.
dofile(debug.getinfo(1, "S").source:match("^@(.*/)") .. "report.lua")

function init(arguments)
  wrk.method = "POST"
  wrk.headers["Content-Type"] = "application/octet-stream"
  wrk.body = string.rep("watchword bench ", tonumber(arguments[1]) / 16)
  local whole = wrk.format()
  request = function() return whole end
end
