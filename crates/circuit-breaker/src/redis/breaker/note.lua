-- Calls of a closed circuit ended, in this order. ARGV: who tells, and which of their reports it is; the epoch that they
-- were admitted in; and for each call '0' for well, '1' for failed, '2' for slow, '3' for both.
local who, number, admitted, ended = ARGV[ARGS + 1], ARGV[ARGS + 2], tonumber(ARGV[ARGS + 3]), ARGV[ARGS + 4]

-- A report that is sent again counts once.
local latest = tonumber(redis.call('ZSCORE', reporters, who))
if latest and tonumber(number) <= latest then return answer(0) end
redis.call('ZADD', reporters, number, who)
-- Numbers begin with the time. Who has not told anything for a day has gone.
redis.call('ZREMRANGEBYSCORE', reporters, '-inf', whole(tonumber(number) - 86400 * 1000000))
keep(reporters, 86400 * 1000000)

if state ~= 'c' or admitted < epoch or mode == 'd' or rules.trip == 'row' then return answer(0) end

local counts = counted()
local function count(call, by)
  counts.calls = counts.calls + by
  if call % 2 == 1 then counts.failures = counts.failures + by end
  if call >= 2 then counts.slow = counts.slow + by end
end

local least = rules.least
if rules.trip == 'calls' then least = math.min(least, rules.size) end
local length = rules.trip == 'calls' and redis.call('LLEN', last_calls) or 0
local bucket = whole(step())
for i = 1, #ended do
  local call = tonumber(string.sub(ended, i, i))
  if rules.trip == 'calls' then
    redis.call('RPUSH', last_calls, call)
    length = length + 1
    if length > rules.size then
      count(tonumber(redis.call('LPOP', last_calls)), -1)
      length = length - 1
    end
  else
    redis.call('HINCRBY', buckets, bucket .. 'c', 1)
    if call % 2 == 1 then redis.call('HINCRBY', buckets, bucket .. 'f', 1) end
    if call >= 2 then redis.call('HINCRBY', buckets, bucket .. 's', 1) end
  end
  count(call, 1)
  if mode == 'a' and opens(counts, least) then
    failures = counts.failures
    open()
    return answer(0)
  end
end

if rules.trip == 'calls' then
  redis.call('HSET', circuit, 'wc', counts.calls, 'wf', counts.failures, 'ws', counts.slow)
  fields[11], fields[12], fields[13] = counts.calls, counts.failures, counts.slow
  keep(last_calls, 86400 * 1000000)
  keep(circuit, 86400 * 1000000)
else
  for _, name in ipairs(redis.call('HKEYS', buckets)) do
    if tonumber(string.match(name, '^%d+')) < step() - 9 then redis.call('HDEL', buckets, name) end
  end
  keep(buckets, rules.size + MINUTE)
end
return answer(0)
