-- What all scripts of the limiter share: one account, read from its hash, and what can be done with its rates.
-- KEYS: the account, what each lease reserved, when each lease ends by itself, leases that have ended.
-- Times are in microseconds of this server's clock.
--
-- A rate is a queue of units that drains at its pace. Everything taken so far ends at `tail`, what has come back ends at
-- `head`, and what was taken as a part has the tail of that moment as its mark: up to there it has not come back.

local account, holdings, leases, gone = KEYS[1], KEYS[2], KEYS[3], KEYS[4]

local now = tonumber(ARGV[1])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000000 + time[2]
end
local age = tonumber(ARGV[2])

local fields = redis.call('HMGET', account, 'at', 'd', 'h1', 't1', 'a1', 'h2', 't2', 'a2', 'h3', 't3', 'a3')
-- Time does not go back, also where the server's clock does by a little. By more, it was put right, and hints with it.
local ahead = (tonumber(fields[1]) or 0) - now
local put_back = ahead > 1000000
if not put_back then now = math.max(now, now + ahead) end
local deferred_until = math.max((tonumber(fields[2]) or 0) - (put_back and ahead or 0), 0)

-- Requests, input, output. A burst of 0 says that there is no such rate.
local rates = {}
for i = 1, 3 do
  local rate = {
    burst = tonumber(ARGV[3 * i]),
    pace = tonumber(ARGV[3 * i + 1]),      -- units that come back in a microsecond; negative where all do at once
    most = tonumber(ARGV[3 * i + 2]),      -- what one report may claim
    head = tonumber(fields[3 * i]) or 0,
    tail = tonumber(fields[3 * i + 1]) or 0,
  }
  -- Each has a time of its own, as others may have limits without this rate, and cannot say how much of it came back.
  local since = math.max(now - (tonumber(fields[3 * i + 2]) or now), 0)
  if rate.pace < 0 then rate.head = rate.tail else rate.head = math.min(rate.tail, rate.head + since * rate.pace) end
  rates[i] = rate
end
local IN_FLIGHT = tonumber(ARGV[12])
local ARGS = 12

local MINUTE, DAY = 60000000, 86400000000
local SMALL = 1e-6

local function whole(number)
  return string.format('%.0f', number)
end

local function exact(number)
  return string.format('%.17g', number)
end

-- An entry is kept for so long at least. What another wants to keep for longer stays for longer.
local function keep(key, span)
  local longest = math.ceil(span / 1000)
  if redis.call('PTTL', key) < longest then
    redis.call('PEXPIRE', key, whole(longest))
  end
end

local function drains_in(rate)
  if rate.pace <= 0 then return 0 end
  return math.min(math.ceil((rate.tail - rate.head) / rate.pace), 36500 * DAY)
end

local function save()
  local span = math.max(deferred_until - now, 0)
  local values = { 'v', 1, 'at', whole(now), 'd', whole(deferred_until) }
  for i, rate in ipairs(rates) do
    if rate.burst > 0 then
      span = math.max(span, drains_in(rate))
      values[#values + 1] = 'h' .. i
      values[#values + 1] = exact(rate.head)
      values[#values + 1] = 't' .. i
      values[#values + 1] = exact(rate.tail)
      values[#values + 1] = 'a' .. i
      values[#values + 1] = whole(now)
    end
  end
  redis.call('HSET', account, unpack(values))
  keep(account, span + MINUTE)
end

local function unpacked(packed)
  local a, b, c, d, e, f = struct.unpack('>dddddd', packed)
  return { reserved = { a, b, c }, marks = { d, e, f } }
end

local function holding(lease)
  local expires = redis.call('ZSCORE', leases, lease)
  if not expires or tonumber(expires) <= now then return nil end
  local packed = redis.call('HGET', holdings, lease)
  return packed and unpacked(packed) or nil
end

local function hold(lease, held)
  redis.call('HSET', holdings, lease, struct.pack('>dddddd',
    held.reserved[1], held.reserved[2], held.reserved[3], held.marks[1], held.marks[2], held.marks[3]))
end

local function forget(lease)
  redis.call('ZREM', leases, lease)
  redis.call('HDEL', holdings, lease)
end

local function charge(rate, amount)
  rate.tail = rate.tail + math.min(amount, rate.most)
end

-- What it says, why not, how long to wait, and for how long the key is deferred.
local function answer(said, reason, wait)
  return { said, reason or 0, math.min(wait or 0, 36500 * DAY), math.max(deferred_until - now, 0) }
end

-- Once, as the time that has passed since then counts again.
if put_back then save() end
