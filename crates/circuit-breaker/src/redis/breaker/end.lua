-- A probe ended. ARGV: its lease; the epoch that it was admitted in; how it ended: 's' well, 'f' failed, 'n' says
-- nothing; 1 when it was slow; and, where its answer never arrived, for how long it might be granted yet.
local lease, admitted, verdict = ARGV[ARGS + 1], tonumber(ARGV[ARGS + 2]), ARGV[ARGS + 3]
local slow, lost_for = ARGV[ARGS + 4] == '1', tonumber(ARGV[ARGS + 5])

local had = held(lease)
redis.call('ZREM', probes, lease)
-- Also where it is closed: it may be half-open when what was on its way arrives.
if lost_for > 0 then
  redis.call('ZREMRANGEBYSCORE', gone, '-inf', whole(now))
  redis.call('ZADD', gone, whole(now + lost_for), lease)
  keep(gone, lost_for + MINUTE)
end
local counts = state == 'h' and admitted >= epoch and verdict ~= 'n' and mode ~= 'd'
if not counts or (rules.probes > 0 and not had) then return answer(0) end

local failed = verdict == 'f'
results.calls = results.calls + 1
results.failures = results.failures + (failed and 1 or 0)
results.slow = results.slow + (slow and 1 or 0)
local reopens
if rules.trip == 'row' then
  reopens = failed
elseif rules.probes > 0 and results.calls < rules.probes then
  redis.call('HSET', circuit, 'rc', results.calls, 'rf', results.failures, 'rs', results.slow)
  remember()
  return answer(0)
else
  reopens = opens(results, 1)
end
if reopens then
  failures = rules.trip == 'row' and failures + 1 or results.failures
  open()
else
  close()
end
return answer(0)
