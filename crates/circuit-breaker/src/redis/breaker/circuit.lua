-- What all scripts of the breaker share: one circuit, read from its hash, and the ways it can go.
-- KEYS: the circuit, the leases of its probes, the leases that were given up, who reported to it, its window of calls,
-- its window of time.
-- Times are in microseconds of this server's clock. Written with %.0f, as Lua writes large numbers inexactly.

local circuit, probes, gone, reporters = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local last_calls, buckets = KEYS[5], KEYS[6]

local now = tonumber(ARGV[1])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000000 + time[2]
end
-- How long ago it happened that is told here.
local age = tonumber(ARGV[2])

-- How the one who asks decides. Each has rules of its own, so that two versions of them can be in use side by side.
local rules = {
  trip = ARGV[3],                       -- 'row', 'calls' or 'time'
  size = tonumber(ARGV[4]),             -- so many failures in a row, or calls, or microseconds
  least = tonumber(ARGV[5]),            -- calls with which something may be concluded
  failures = tonumber(ARGV[6]),         -- per cent, 0 where they are not looked at
  slow = tonumber(ARGV[7]),
  cooldown = tonumber(ARGV[8]),
  longest = tonumber(ARGV[9]),
  jitter = tonumber(ARGV[10]),          -- the share of this cooldown that is taken off, drawn by the one who asks
  probes = tonumber(ARGV[11]),          -- 0 where there is no bound
  half_open = tonumber(ARGV[12]),       -- 0 where there is no bound
  hold = tonumber(ARGV[13]),            -- how long results may come late
}
local ARGS = 13

local fields = redis.call('HMGET', circuit, 's', 'e', 'u', 't', 'f', 'n', 'm', 'rc', 'rf', 'rs',
  'wc', 'wf', 'ws')
local state = fields[1] or 'c'
local epoch = tonumber(fields[2]) or 0
local open_until = tonumber(fields[3]) or 0
local entered = tonumber(fields[4]) or now
local failures = tonumber(fields[5]) or 0
local openings = tonumber(fields[6]) or 0
local mode = fields[7] or 'a'
local function sums(first)
  return { calls = tonumber(fields[first]) or 0, failures = tonumber(fields[first + 1]) or 0,
    slow = tonumber(fields[first + 2]) or 0 }
end
-- Nothing has happened yet that is still to come: the clock was put back, and cooldowns with it.
if entered > now then
  open_until = math.max(open_until - (entered - now), 0)
  entered = now
  redis.call('HSET', circuit, 't', string.format('%.0f', entered), 'u', string.format('%.0f', open_until))
end
-- Of the probes, and of the window of calls.
local results, last_sums = sums(8), sums(11)

local function whole(number)
  return string.format('%.0f', number)
end

-- An entry is kept for so long at least. What another wants to keep for longer stays for longer.
local function keep(key, span)
  local longest = math.ceil(span / 1000)
  if redis.call('PTTL', key) < longest then
    redis.call('PEXPIRE', key, whole(longest))
  end
end

local MINUTE, DAY, MONTH = 60000000, 86400 * 1000000, 30 * 86400 * 1000000

local function remember(extra)
  local span = math.max(rules.cooldown, rules.longest) + rules.hold + math.max(open_until - now, 0) + (extra or 0) + MINUTE
  keep(circuit, mode == 'a' and span or math.max(span, MONTH + DAY))
end

-- Results from before the transition do not count any more.
local function enter(new_state)
  state, entered, epoch = new_state, now, math.max(now, epoch + 1)
  results, last_sums = { calls = 0, failures = 0, slow = 0 }, { calls = 0, failures = 0, slow = 0 }
  if new_state ~= 'o' then open_until = 0 end
  redis.call('HSET', circuit, 'v', 1, 's', state, 'e', whole(epoch), 'u', whole(open_until), 't', whole(entered),
    'f', whole(failures), 'n', whole(openings), 'm', mode, 'rc', 0, 'rf', 0, 'rs', 0, 'wc', 0, 'wf', 0, 'ws', 0)
  redis.call('DEL', probes, last_calls, buckets)
  remember()
end

local function open(ago)
  openings = openings + 1
  local longest = math.max(rules.cooldown, rules.longest)
  local cooldown = math.min(rules.cooldown * 2 ^ math.min(openings - 1, 52), longest)
  cooldown = math.ceil(cooldown * (1 - rules.jitter))
  open_until = now - (ago or 0) + cooldown
  enter('o')
end

local function close()
  openings, failures = 0, 0
  enter('c')
end

local function share_is_reached(share, part, calls)
  return share > 0 and part > 0 and part * 100 >= share * calls
end

local function opens(counts, least)
  return counts.calls >= least
    and (share_is_reached(rules.failures, counts.failures, counts.calls)
      or share_is_reached(rules.slow, counts.slow, counts.calls))
end

local function add(counts, call, by)
  counts.calls = counts.calls + by
  if call % 2 == 1 then counts.failures = counts.failures + by end
  if call >= 2 then counts.slow = counts.slow + by end
end

-- A window of time moves on in steps of a tenth of it. Its parts go by when they began, so that they mean the same to one
-- whose window has another length.
local function part(time, steps_before)
  local width = math.max(rules.size / 10, 1)
  return whole((math.floor(time / width) - steps_before) * width)
end

local NAMES = { c = 'calls', f = 'failures', s = 'slow' }

-- The calls that are in the window now, and the fields of those that have left a window of time.
local function counted()
  local counts, old = { calls = 0, failures = 0, slow = 0 }, {}
  if state ~= 'c' then return counts, old end
  if rules.trip == 'calls' then
    -- The calls and their sums may be forgotten one without the other.
    if redis.call('LLEN', last_calls) ~= last_sums.calls then
      for _, call in ipairs(redis.call('LRANGE', last_calls, 0, -1)) do add(counts, tonumber(call), 1) end
      last_sums = counts
    end
    return last_sums, old
  end
  if rules.trip == 'time' then
    local oldest, all = tonumber(part(now, 9)), redis.call('HGETALL', buckets)
    for i = 1, #all, 2 do
      local began, name = string.match(all[i], '^(%d+)([cfs])$')
      if began and tonumber(began) >= oldest then
        counts[NAMES[name]] = counts[NAMES[name]] + tonumber(all[i + 1])
      elseif began then
        old[#old + 1] = all[i]
      end
    end
  end
  return counts, old
end

local function held(lease)
  local expires = redis.call('ZSCORE', probes, lease)
  return expires and tonumber(expires) > now
end

local STATES, MODES = { c = 0, o = 1, h = 2 }, { a = 0, o = 1, c = 2, d = 3 }

-- What a person decided holds on for as long as somebody asks, and then for a month.
if mode ~= 'a' and redis.call('PTTL', circuit) * 1000 < MONTH then keep(circuit, MONTH + DAY) end

-- What is known of the circuit now, and what the one who asks is told: 0 nothing, 1 go, 2 go as a probe, 3 no.
local function answer(said)
  local out = state == 'h' and redis.call('ZCOUNT', probes, '(' .. whole(now), '+inf') or 0
  local counts = state == 'h' and results or counted()
  return { said, STATES[state], MODES[mode], epoch, math.max(open_until - now, 0), failures, out,
    counts.calls, counts.failures, counts.slow, openings, math.max(now - entered, 0) }
end
