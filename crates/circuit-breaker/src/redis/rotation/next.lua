-- The next turn. KEYS: the turns taken. ARGV[3]: for how long they are remembered, in milliseconds.
local taken = redis.pcall('INCR', KEYS[1])
if type(taken) == 'table' then
  -- There are no larger numbers. Anything else is not ours.
  if not string.find(taken.err, 'overflow') then return taken end
  redis.call('SET', KEYS[1], 1)
  taken = 1
end
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return taken - 1
