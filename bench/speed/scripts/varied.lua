-- No two requests are alike: each has another path, query and header.
dofile(debug.getinfo(1, "S").source:match("^@(.*/)") .. "report.lua")

local number, rest = 0, nil

function init(arguments)
  -- The request without its first line: headers that stay as they are.
  rest = wrk.format("GET", "/"):match("^[^\r\n]*\r\n(.*)\r\n$")
end

function request()
  number = number + 1
  return "GET /items/" .. number .. "/view?page=" .. number % 97 .. "&t=" .. number * 7 ..
    " HTTP/1.1\r\n" .. rest .. "X-Request-Id: " .. number * 31 .. "\r\n\r\n"
end
