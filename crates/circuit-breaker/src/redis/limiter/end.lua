-- A call ended, or never went out. ARGV: its lease; for how long it has to be remembered that it ended; what was reserved
-- for it; and what it did cost, empty where that is not known, so that it stays as reserved.
local lease, remembered = ARGV[ARGS + 1], tonumber(ARGV[ARGS + 2])

redis.call('ZREMRANGEBYSCORE', gone, '-inf', whole(now))
if redis.call('ZSCORE', gone, lease) then return answer(0) end
if remembered > 0 then
  redis.call('ZADD', gone, whole(now + remembered), lease)
  keep(gone, remembered + MINUTE)
end

local held = holding(lease)
forget(lease)
local given_back = {}
for i, rate in ipairs(rates) do
  local reserved = held and held.reserved[i] or tonumber(ARGV[ARGS + 2 + i]) or 0
  local actual = tonumber(ARGV[ARGS + 5 + i])
  if rate.burst > 0 and actual then
    if actual > reserved then
      charge(rate, actual - reserved)
    elseif held then
      -- Oldest first, units come back by themselves: no more is given back than has not.
      local back = math.min(reserved - actual, held.marks[i] - rate.head, rate.tail - rate.head)
      if back > 0 then
        rate.tail = rate.tail - back
        given_back[i] = back
      end
    end
  end
end
save()

-- What was taken after it comes back so much sooner.
if next(given_back) then
  local all = redis.call('HGETALL', holdings)
  for n = 1, #all, 2 do
    local other, moved = unpacked(all[n + 1]), false
    for i, back in pairs(given_back) do
      if other.marks[i] > held.marks[i] then
        other.marks[i] = other.marks[i] - back
        moved = true
      end
    end
    if moved then hold(all[n], other) end
  end
end
return answer(0)
