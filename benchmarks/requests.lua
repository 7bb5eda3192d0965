-- Sends the requests of a file in turn: method, path and body in a line, with tabs; a `#` in a body is a new number.
-- Prints what happened as one line of JSON.
local lines, at, number = {}, 0, 0

function init(arguments)
  for line in io.lines(arguments[1]) do
    local method, path, body = line:match("^([^\t]*)\t([^\t]*)\t(.*)$")
    lines[#lines + 1] = {method, path, body ~= "" and body or nil}
  end
end

function request()
  at = at % #lines + 1
  number = number + 1
  local line = lines[at]
  local body = line[3] and line[3]:gsub("#", tostring(number))
  local headers = {["Content-Type"] = body and "application/json"}
  for name, value in pairs(wrk.headers) do headers[name] = value end
  return wrk.format(line[1], line[2], headers, body)
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '{"requests": %d, "seconds": %f, "refused": %d, "broken": %d, "p50": %f, "p99": %f}\n',
    summary.requests, summary.duration / 1e6, errors.status, errors.connect + errors.read + errors.write + errors.timeout,
    latency:percentile(50) / 1000, latency:percentile(99) / 1000))
end
