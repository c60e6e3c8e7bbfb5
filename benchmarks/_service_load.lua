-- Applications from a file, one a line, in turn; a think time where half the load is wanted.
-- wrk ... -- BODIES_FILE TOKEN THINK_MS
local bodies, at, think = {}, 0, 0

function init(args)
  for line in io.lines(args[1]) do bodies[#bodies + 1] = line end
  wrk.method = "POST"
  wrk.headers["Content-Type"] = "application/json"
  wrk.headers["Authorization"] = "Bearer " .. args[2]
  think = tonumber(args[3])
  math.randomseed(os.time())
  at = math.random(#bodies)
end

function request()
  at = at % #bodies + 1
  return wrk.format(nil, nil, nil, bodies[at])
end

-- Exponential think times: what comes is close to a Poisson process, with no bursts in step.
function delay()
  if think == 0 then return 0 end
  return math.floor(-math.log(1 - math.random()) * think + 0.5)
end

function done(summary, latency, requests)
  io.write(string.format(
    "RESULT %d %d %d %.1f %.1f\n", summary.requests, summary.duration,
    summary.errors.status + summary.errors.connect + summary.errors.read + summary.errors.timeout,
    latency:percentile(50), latency:percentile(99)))
end
