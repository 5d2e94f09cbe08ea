-- What a run came to, as one line of JSON at its end.
function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    '\n{"requests": %d, "bytes": %.0f, "microseconds": %d, "refused": %d, "broken": %d}\n',
    summary.requests, summary.bytes, summary.duration, errors.status,
    errors.connect + errors.read + errors.write + errors.timeout))
end
