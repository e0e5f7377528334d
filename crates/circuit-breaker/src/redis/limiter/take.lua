-- May a call go out? ARGV: its lease, for how long it holds it, and what it costs, empty where that is not known.
local lease, span = ARGV[ARGS + 1], tonumber(ARGV[ARGS + 2])
local cost = { tonumber(ARGV[ARGS + 3]), tonumber(ARGV[ARGS + 4]), tonumber(ARGV[ARGS + 5]) }
local NEVER, DEFERRED, FLYING = 4, 5, 6

for _, ended in ipairs(redis.call('ZRANGEBYSCORE', leases, '-inf', whole(now), 'LIMIT', 0, 64)) do forget(ended) end
if holding(lease) then return answer(1) end
-- Whoever asked has gone, and said so before this came.
if redis.call('ZSCORE', gone, lease) then return answer(2, FLYING) end

local wait, reason = 0, 0
for i, rate in ipairs(rates) do
  if rate.burst > 0 then
    local amount = cost[i] or 1
    if amount > rate.burst then return answer(2, NEVER) end
    local excess = rate.tail - rate.head + amount - rate.burst
    if excess > SMALL then
      local longest = rate.pace > 0 and math.ceil(excess / rate.pace) or 0
      if longest >= wait then wait, reason = longest, i end
    end
  end
end
if deferred_until > now then return answer(2, DEFERRED, math.max(deferred_until - now, wait)) end
if IN_FLIGHT > 0 and redis.call('ZCARD', leases) >= IN_FLIGHT
  and redis.call('ZCOUNT', leases, '(' .. whole(now), '+inf') >= IN_FLIGHT then return answer(2, FLYING) end
if reason > 0 then return answer(2, reason, wait) end

local held = { reserved = {}, marks = {} }
for i, rate in ipairs(rates) do
  held.reserved[i] = cost[i] or 0
  if rate.burst > 0 then rate.tail = rate.tail + held.reserved[i] end
  held.marks[i] = rate.tail
end
hold(lease, held)
redis.call('ZADD', leases, whole(now + span), lease)
keep(leases, span + MINUTE)
keep(holdings, span + MINUTE)
save()
return answer(1)
