-- May a call go out? ARGV: the lease that a probe would hold, and for how long.
local lease, hold = ARGV[ARGS + 1], tonumber(ARGV[ARGS + 2])

if mode == 'o' then return answer(3) end
if state == 'h' and mode == 'a' and rules.half_open > 0 and now >= entered + rules.half_open then
  open()
  return answer(3)
end
if state == 'c' then return answer(1) end
if state == 'o' then
  if now < open_until then return answer(3) end
  enter('h')
end

if rules.probes == 0 then
  remember(hold)
  return answer(2)
end
redis.call('ZREMRANGEBYSCORE', probes, '-inf', whole(now))
if not held(lease) then
  -- Of a window so many go out in all. One goes out in any case, as others may have had more of them.
  local room = rules.probes
  if rules.trip ~= 'row' then room = math.max(room - results.calls, 1) end
  if redis.call('ZSCORE', gone, lease) or redis.call('ZCARD', probes) >= room then return answer(3) end
  redis.call('ZADD', probes, whole(now + hold), lease)
  keep(probes, hold + MINUTE)
end
remember(hold)
return answer(2)
