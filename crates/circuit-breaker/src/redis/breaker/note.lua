-- Calls of a closed circuit ended, in this order. ARGV: who tells, and which of their reports it is; the epoch that they
-- were admitted in; and for each call '0' for well, '1' for failed, '2' for slow, '3' for both.
local who, number, admitted, ended = ARGV[ARGS + 1], ARGV[ARGS + 2], tonumber(ARGV[ARGS + 3]), ARGV[ARGS + 4]

-- A report that is sent again counts once.
local latest = tonumber(redis.call('ZSCORE', reporters, who))
if latest and tonumber(number) <= latest then return answer(0) end
redis.call('ZADD', reporters, number, who)
-- Numbers begin with the time. Who has not told anything for a day has gone.
redis.call('ZREMRANGEBYSCORE', reporters, '-inf', whole(tonumber(number) - DAY))
keep(reporters, DAY)

if state ~= 'c' or admitted < epoch or mode == 'd' or rules.trip == 'row' then return answer(0) end
-- What is told so late has left the window already.
local began = part(math.max(now - age, 0), 0)
if rules.trip == 'time' and tonumber(began) < tonumber(part(now, 9)) then return answer(0) end

local counts, old = counted()
local told = { calls = 0, failures = 0, slow = 0 }
local least = rules.least
if rules.trip == 'calls' then least = math.min(least, rules.size) end
for i = 1, #ended do
  local call = tonumber(string.sub(ended, i, i))
  if rules.trip == 'calls' then
    redis.call('RPUSH', last_calls, call)
    -- More than one has to go where another's window was larger.
    for _ = rules.size, counts.calls do add(counts, tonumber(redis.call('LPOP', last_calls)), -1) end
  end
  add(counts, call, 1)
  add(told, call, 1)
  if mode == 'a' and opens(counts, least) then
    failures = counts.failures
    open()
    return answer(0)
  end
end

if rules.trip == 'calls' then
  redis.call('HSET', circuit, 'v', 1, 'wc', counts.calls, 'wf', counts.failures, 'ws', counts.slow)
  keep(last_calls, DAY)
  keep(circuit, DAY)
else
  for letter, name in pairs(NAMES) do
    if told[name] > 0 then redis.call('HINCRBY', buckets, began .. letter, told[name]) end
  end
  if #old > 0 then redis.call('HDEL', buckets, unpack(old)) end
  keep(buckets, rules.size + MINUTE)
end
return answer(0)
