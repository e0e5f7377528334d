-- One who uses the circuit had so many failures in a row. ARGV: how many, and the epoch that they were admitted in.
local row, admitted = tonumber(ARGV[ARGS + 1]), tonumber(ARGV[ARGS + 2])

if state == 'c' and mode == 'a' and admitted >= epoch then
  failures = row
  local first = math.ceil(rules.cooldown * (1 - rules.jitter))
  -- What is told so late that its time has passed does not matter any more; but a second it may always take.
  if age < math.max(first, 1000000) then open(age) end
end
return answer(0)
