-- A person takes over, or lets go. ARGV: the mode, or 'r' to begin anew in the mode that it is in.
local wanted = ARGV[ARGS + 1]

if wanted ~= mode then
  if wanted ~= 'r' then mode = wanted end
  close()
end
return answer(0)
