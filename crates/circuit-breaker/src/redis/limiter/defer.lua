-- The service asked to be left alone. ARGV: for how long, from when it was told.
deferred_until = math.max(deferred_until, now - age + tonumber(ARGV[ARGS + 1]))
save()
return answer(0)
