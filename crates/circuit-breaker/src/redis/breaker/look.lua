-- Reads, and changes nothing.
return answer(0)
