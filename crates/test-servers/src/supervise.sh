# Runs a server, and kills it when whoever started this goes away, however that happens: the other end of the standard
# input is then closed by the system.
#
# supervise.sh DIRECTORY COMMAND...
# Prints the server's process id, ends when the server does, and removes the directory if nobody else will.
exec 3<&0
directory=$1
shift
# When a group that nobody waits for any more has a stopped process in it, the system hangs up on all of it: that would
# end this before it has killed a frozen server, which then goes on.
trap '' HUP
(trap - HUP; exec "$@") </dev/null >"$directory/log" 2>&1 3<&- &
server=$!
{
    while read -r _ <&3; do :; done
    true >"$directory/abandoned" # unlike `:` it lets this go on if that fails
    kill -9 "$server"
} >/dev/null 2>&1 &
guard=$!
exec 3<&- </dev/null
echo "$server"
wait "$server"
kill -9 "$guard" # before the server's process id can belong to another
wait "$guard"
if [ -e "$directory/abandoned" ]; then rm -rf "$directory"; fi
